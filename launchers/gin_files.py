"""Gin files and bindings, read as `nngp_tf.data.text_files` reads, their mistakes as one sentence.

gin says what its parser expected; what is said here is what to write instead.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import io
import os
import re
import tokenize
from collections.abc import Iterator, Sequence

import gin

from nngp_tf.data import text_files

_BINDING = re.compile(r"\s*([A-Za-z_][\w./]*)\s*(?:=(?!=)|:=|==|:(?=.))\s*(.*)", re.DOTALL)
_CONSTANTS = {"true": "True", "false": "False", "none": "None", "null": "None", "nil": "None"}
_QUOTES = "'\""
_CURLY_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)
_UNKNOWN = re.compile(r"No configurable matching (?:reference )?'@?([^'()]*)(?:\(\))?'\.")
_UNKNOWN_PARAMETER = re.compile(
    r"Configurable '([^']*)' doesn't have a parameter named '([^']*)'\."
)
_MISSING = re.compile(r"Unable to open file: (.*?)\. Searched config paths: (\[.*?\])\.")
_UNBOUND_MACRO = re.compile(r"No bindings specified for '(.*)/gin\.macro'")


def parse(files: Sequence[str], bindings: Sequence[str]) -> None:
    """Configure gin.

    Args:
      files: Paths of gin files, later ones last; found in gin's search paths.
      bindings: Statements that come after the files.

    Raises:
      ValueError: A file is missing or in another encoding, or a statement cannot be read or names
        what does not exist.
    """
    # Gin would also look for directories as packages: it logs each, and takes one without a file
    # __init__.py for an error.
    gin.config._FILE_READERS[:] = [(_opened, os.path.isfile)]
    for path in files:
        with _sentences():
            gin.parse_config_file(path)
    for binding in bindings:
        with _sentences(), _explained("--gin_param", binding):
            gin.parse_config(binding)
    with _sentences():
        gin.finalize()
    _check_macros()


@contextlib.contextmanager
def _opened(path: str) -> Iterator[io.StringIO]:
    """Open a file for gin, and explain what its parser says of it."""
    text = text_files.read(path)
    with _explained(path, text):
        file = io.StringIO(text)
        file.name = path
        yield file


@contextlib.contextmanager
def _explained(source: str, text: str) -> Iterator[None]:
    """Turn what gin's parser says into a ValueError that says what to write."""
    try:
        yield
    except (SyntaxError, tokenize.TokenError) as error:
        if str(getattr(error, "filename", "")).endswith(".py"):
            raise ValueError(f"{source} imports what Python cannot read: {error}") from error
        lines = text.split("\n")
        is_token = isinstance(error, tokenize.TokenError)
        statement, number = _statement(lines, error.args[1][0] if is_token else error.lineno)
        where = source if source.startswith("--") else f"{source}, line {number}"
        advice = _advice(statement, str(error))
        raise ValueError(f"{where}: {_short(statement)}: {advice}") from error


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """Say of names that gin does not know which ones were meant."""
    try:
        yield
    except RecursionError as error:
        raise ValueError("gin: files include one another in a circle: leave one out") from error
    except (ValueError, OSError, ImportError) as error:
        text = str(error)
        if match := _UNKNOWN.search(text):
            text = text.replace(match[0], match[0] + _nearest(match[1], _configurables()), 1)
        elif match := _UNKNOWN_PARAMETER.search(text):
            nearest = _nearest(match[2], _parameters(match[1]))
            text = text.replace(match[0], match[0] + nearest, 1)
        elif match := _MISSING.search(text):
            told = f"there is no gin file {match[1]}, searched in {match[2]}."
            text = text.replace(match[0], told + _nearest_file(match[1]), 1)
        elif match := _UNBOUND_MACRO.search(text):
            text = f"nothing gives %{match[1]} a value: write {match[1]} = VALUE"
        raise ValueError(f"gin: {text}") from error


def _statement(lines: list[str], number: int) -> tuple[str, int]:
    """Return the statement up to a line of it, and the number of the line it begins in."""
    first = min(number, len(lines))
    while first > 1 and _is_open("\n".join(lines[: first - 1])):
        first -= 1
    return "\n".join(lines[first - 1 : number]).strip(), first


def _is_open(text: str) -> bool:
    """Whether brackets are open at the end of a text, by their number."""
    text = re.sub(r"#.*", "", text)
    return sum(map(text.count, "([{")) > sum(map(text.count, ")]}"))


def _advice(statement: str, said: str) -> str:
    """Return what to write instead of a statement that gin's parser does not take."""
    words = statement.split(maxsplit=1)
    if words and words[0] == "include":
        argument = statement.removeprefix("include").strip().strip(_QUOTES)
        return f"the name of a file is written in quotes, include {argument!r}"
    match = _BINDING.match(statement)
    if not match:
        return "a statement is written NAME.PARAMETER = VALUE"
    name, value = match[1], match[2].strip()
    if not value:
        return "no value follows"
    if re.match(r"\s*[\w./]+\s*(:=|=\s*=|:)", statement):
        return f"a value is given by one equals sign, {name} = {value.lstrip('= ')}"
    if value != value.translate(_CURLY_QUOTES):
        return f"quotes are straight ones, {name} = {value.translate(_CURLY_QUOTES)}"
    if value[0] in "([{":
        return _advice_on_container(name, statement, said)
    value = re.split(r"\s+#", value)[0]
    if re.search(r"[\s,;][\w./]+\s*=", value):
        return "each statement has a line of its own"
    if more := re.fullmatch(r"""(['"])[^'"]*\1\s*([^'"]+)""", value):
        return f"{more[2]} follows the value, which ends at the quote"
    with contextlib.suppress(ValueError, SyntaxError):
        if isinstance(ast.literal_eval(value), tuple):
            return f"a tuple is written in brackets, {name} = ({value}), and a number like 1.5"
        return f"gin cannot read it ({said.splitlines()[0]})"  # Not for its value.
    return f"{_advice_on_value(value)}, {name} = {_corrected(value)}"


def _advice_on_container(name: str, statement: str, said: str) -> str:
    _, *others = statement.split("\n")
    runs_on = bool(others) and bool(re.match(r"\s*[\w./]+\s*=", others[-1]))
    token = re.search(r"Failed to parse token '([^']*)'", said)
    if token and not runs_on:
        return f"{_advice_on_value(token[1])}, {_corrected(token[1])} within {name}"
    if runs_on or "Expected ',' or" in said or "EOF" in said or "unterminated" in said:
        return f"a bracket, quote or comma is missing in {name}"
    return f"gin cannot read the value of {name} ({said.splitlines()[0]})"


def _advice_on_value(value: str) -> str:
    if value.lower() in _CONSTANTS:
        return f"{value} is written {_CONSTANTS[value.lower()]}"
    if value[0] in _QUOTES or value[-1] in _QUOTES:
        return "quotes open and close a string"
    if value[0].isdigit() or value[0] in "+-.":
        return "a number is written like 1.5, and a string in quotes"
    return "a string is written in quotes"


def _corrected(value: str) -> str:
    return _CONSTANTS.get(value.lower()) or repr(value.strip(_QUOTES))


def _check_macros() -> None:
    """Refuse a value for a parameter without its configurable: gin takes it for a macro."""
    used = {
        value.scoped_selector.removesuffix("/gin.macro")
        for parameters in gin.config._CONFIG.values()
        for value in gin.config._iterate_flattened_values(tuple(parameters.values()))
        if isinstance(value, gin.config.ConfigurableReference)
    }
    for (scope, selector), parameters in gin.config._CONFIG.items():
        if selector != "gin.macro" or scope in used:
            continue
        parameter = scope.rpartition("/")[2]
        owners = [name for name in _configurables() if parameter in _parameters(name)]
        if owners:
            value = f"= {parameters['value']!r}"
            meant = " or ".join(f"{owner}.{parameter} {value}" for owner in owners)
            raise ValueError(f"gin: {scope} {value} names no configurable: write {meant}")


def _configurables() -> list[str]:
    """Return the names of all that gin configures, itself left out."""
    registry = gin.config._REGISTRY
    return [
        registry.minimal_selector(selector)
        for selector, _ in registry.items()
        if not selector.startswith("gin.")
    ]


def _parameters(configurable: str) -> list[str]:
    found = gin.config._REGISTRY.get_match(configurable)
    return list(inspect.signature(found.wrapped).parameters) if found else []


def _nearest_file(path: str) -> str:
    directory, name = os.path.split(path)
    known = {
        found
        for prefix in gin.config._LOCATION_PREFIXES
        if os.path.isdir(os.path.join(prefix, directory or "."))
        for found in os.listdir(os.path.join(prefix, directory or "."))
        if found.endswith(".gin")
    }
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean '{os.path.join(directory, nearest[0])}'?" if nearest else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else f" Known: {', '.join(sorted(known))}."


def _short(statement: str) -> str:
    """Return a statement on one line, which may be long."""
    line = " ".join(statement.split())
    return line if len(line) <= 100 else line[:97] + "..."
