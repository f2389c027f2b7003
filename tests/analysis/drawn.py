"""What is written in a figure."""

from matplotlib.text import Text


def texts(figure):
    """Return all that is written in a figure, on one line."""
    written = (text.get_text() for text in figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(written).split())
