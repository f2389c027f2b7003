"""Reports: one HTML file that holds its figures and its style, opens offline, and fits a phone.

    title, summary, contents
    section: title, paragraphs, table, figures with captions
    ...

It has no script and refers to nothing outside itself, and a browser is told to load nothing. All
that is given is escaped; `words in backticks` become code, empty lines separate paragraphs.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nngp_tf.analysis import figures_style
from nngp_tf.analysis.files import write_whole
from nngp_tf.analysis.report_style import STYLE_SHEET
from nngp_tf.analysis.report_table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "Report", "Section", "Table"]

MOST_BYTES = 2_000_000
# Tried in turn until the file is small enough.
_DPIS = (figures_style.DPI, 150, 110, 80)
_PIXELS_AN_INCH = 96  # Of a page, by definition of CSS.
_MOST_WITHOUT_CONTENTS = 2


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
      title: What stands over it.
      text: Paragraphs, separated by empty lines.
      table: What stands below the text.
      figures: Caption and figure, below the table.
    """

    title: str
    text: str
    table: Table | None = None
    figures: Sequence[tuple[str, Figure]] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """A page of results.

    Attributes:
      title: What stands over it, and in the browser's tab.
      summary: Sentences that say what was found: a list where there are several.
      sections: The parts.
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]

    def to_html(self) -> str:
        """Return the page; figures are coarser where it would exceed some two megabytes.

        Raises:
          ValueError: If there are figures and matplotlib is not installed.
        """
        for dpi in _DPIS:
            page = self._page(dpi)
            if len(page.encode()) <= MOST_BYTES:
                break
        return page

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page, whole or not at all; the path may be gs://. Return the path.

        Raises:
          ValueError: As `to_html`, or if the path cannot be written.
        """
        return write_whole(path, self.to_html().encode())

    def _page(self, dpi):
        title = html.escape(self.title)
        lines = [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "img-src data:; style-src 'unsafe-inline'\">",
            f"<title>{title}</title>\n<style>{STYLE_SHEET}</style>\n</head>\n<body>\n<main>",
            f"<h1>{title}</h1>",
            _summary(self.summary),
            self._contents(),
            *(_section(number, part, dpi) for number, part in enumerate(self.sections, start=1)),
            "</main>\n</body>\n</html>\n",
        ]
        return "\n".join(line for line in lines if line)

    def _contents(self):
        if len(self.sections) <= _MOST_WITHOUT_CONTENTS:
            return ""
        links = [
            f'<li><a href="#section-{number}">{_inline(section.title)}</a></li>'
            for number, section in enumerate(self.sections, start=1)
        ]
        return f'<nav aria-label="Contents"><ul>\n{chr(10).join(links)}\n</ul></nav>'


def _summary(sentences):
    if len(sentences) == 1:
        return f'<p class="summary">{_inline(sentences[0])}</p>'
    items = "\n".join(f"<li>{_inline(sentence)}</li>" for sentence in sentences)
    return f'<ul class="summary">\n{items}\n</ul>' if items else ""


def _section(number, section, dpi):
    lines = [f'<section id="section-{number}">', f"<h2>{_inline(section.title)}</h2>"]
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", section.text)]
    lines += [f"<p>{_inline(paragraph)}</p>" for paragraph in paragraphs if paragraph]
    if section.table is not None:
        lines.append(section.table.to_html(section.title))
    if section.figures:
        pictures = "\n".join(_picture(caption, figure, dpi) for caption, figure in section.figures)
        lines.append(f'<div class="figures">\n{pictures}\n</div>')
    return "\n".join([*lines, "</section>"])


def _picture(caption, figure, dpi):
    content = base64.b64encode(figures_style.png(figure, dpi)).decode()
    width, height = (round(inches * _PIXELS_AN_INCH) for inches in figure.get_size_inches())
    words = html.escape(figures_style.description(figure) or caption)
    return (
        f'<figure><img src="data:image/png;base64,{content}" alt="{words}" width="{width}" '
        f'height="{height}"><figcaption>{_inline(caption)}</figcaption></figure>'
    )


def _inline(text):
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))
