"""Lines of architectures, whatever the space."""

import dataclasses

import pytest

from nngp_tf.search_spaces import architecture_lines

pytestmark = pytest.mark.fast


@dataclasses.dataclass(frozen=True)
class Word:
    """An architecture that is a word, in whatever case."""

    text: str

    @property
    def key(self):
        return self.text.lower()


def from_text(text):
    if not text.isalpha():
        raise ValueError(f"{text!r} is no word")
    return Word(text)


def parsed(*lines):
    return architecture_lines.parse(lines, "words.txt", from_text, "word")


def test_lines_in_order_without_blank_ones_and_remarks():
    assert parsed("# words", "", "b  # the second", "  a\n", "\t") == [Word("b"), Word("a")]
    assert parsed() == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a b", "^words.txt:3: 'a b' is no word$"),
        (
            "A",
            r"^words.txt:3: the same word as words.txt:2 \(key a\), remove one of the two lines$",
        ),
    ],
)
def test_errors_name_the_line(line, message):
    with pytest.raises(ValueError, match=message):
        parsed("", "a", line)
