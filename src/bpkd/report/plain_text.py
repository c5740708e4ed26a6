"""Text in figures as it is: names of files and classes are no formulas, nor all of it letters."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.text import Text

from bpkd.support.messages import printable


def in_plain_text(figure: Figure) -> Figure:
    """A figure whose texts are drawn letter by letter; to be called before it is written.

    Matplotlib sets what stands between two dollar signs as a formula, and fails at bytes of a
    file's name that are no letters.

    Example:
        >>> figure = Figure()
        >>> title = figure.suptitle("a$_$b" + chr(0xDCFF))
        >>> in_plain_text(figure) is figure, title.get_text(), title.get_parse_math()
        (True, 'a$_$b\\\\xff', False)
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    return figure
