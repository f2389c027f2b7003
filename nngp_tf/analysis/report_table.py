"""Tables of reports: numbers aligned and rounded as they are read, intervals in smaller type."""

from __future__ import annotations

import dataclasses
import html
import math
import numbers
from collections.abc import Sequence

from nngp_tf.analysis.estimates import Estimate

Cell = str | float | Estimate | None
ALIGNMENTS = ("left", "right")
_ABSENT = "\u2013"
_UNDEFINED = "undefined"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a header and, in its first column, the names of its rows.

    Attributes:
      header: [C], names of the columns.
      rows: [R][C]; None is shown as a dash, NaN as "undefined".
      note: What is to be known of the table, written below it.
      align: [C], "left" or "right"; unset: columns with numbers are right-aligned.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    align: Sequence[str] | None = None

    def __post_init__(self):
        """Check the lengths.

        Raises:
          ValueError: If a row or the alignment does not match the header, or is unknown.
        """
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.header):
                raise ValueError(
                    f"row {number} of the table must have a cell for each of {len(self.header)} "
                    f"columns, got {len(row)}"
                )
        if self.align is not None:
            if len(self.align) != len(self.header):
                raise ValueError(
                    f"align must name a side for each of {len(self.header)} columns, "
                    f"got {len(self.align)}"
                )
            if unknown := [side for side in self.align if side not in ALIGNMENTS]:
                raise ValueError(f"align must be left or right, got {unknown[0]!r}")

    def to_html(self, name: str) -> str:
        """Return the table in a box of its own that scrolls where the page is too narrow.

        Args:
          name: What the box is called for those who cannot see it.
        """
        sides = self.align or [_side(row[i] for row in self.rows) for i in range(len(self.header))]
        head = "".join(
            f'<th scope="col" class="{side}">{html.escape(title)}</th>'
            for title, side in zip(self.header, sides, strict=True)
        )
        lines = [
            f'<div class="table" role="region" tabindex="0" aria-label="{html.escape(name)}">',
            f"<table><thead><tr>{head}</tr></thead><tbody>",
        ]
        for row in self.rows:
            cells = []
            for index, (cell, side) in enumerate(zip(row, sides, strict=True)):
                tag, scope = ("td", "") if index else ("th", ' scope="row"')
                cells.append(f'<{tag}{scope} class="{side}">{cell_html(cell)}</{tag}>')
            lines.append(f"<tr>{''.join(cells)}</tr>")
        lines.append("</tbody></table></div>")
        if self.note:
            lines.append(f'<p class="note">{html.escape(self.note)}</p>')
        return "\n".join(lines)


def cell_html(cell: Cell) -> str:
    """Return what stands in a cell, escaped."""
    if cell is None:
        return _ABSENT
    if isinstance(cell, Estimate):
        if not math.isfinite(cell.value):
            return _UNDEFINED
        ends = [cell.low, cell.high]
        if any(end is None or not math.isfinite(end) for end in ends):
            return number_text(cell.value)
        low, high = map(number_text, ends)
        return f'{number_text(cell.value)} <span class="interval">[{low}, {high}]</span>'
    return html.escape(number_text(cell) if _is_number(cell) else str(cell))


def number_text(number: float) -> str:
    """Return a number with the digits that are read: 0.348, 17.2, 1,234,567, 1e-05.

    Whole numbers of Python or NumPy keep all digits, others three decimals or some three digits.
    """
    if isinstance(number, numbers.Integral):
        return f"{int(number):,}"
    number = float(number)
    size = abs(number)
    if math.isnan(number):
        return _UNDEFINED
    if math.isinf(number) or size >= 1e7 or 0 < size < 1e-3:
        return f"{number:.3g}"
    if size == 0:
        return "0"
    if size < 10:
        return f"{number:.3f}"
    return f"{number:.1f}" if size < 1000 else f"{number:,.0f}"


def _is_number(cell):
    return isinstance(cell, numbers.Real) and not isinstance(cell, bool)


def _side(column):
    there = [cell for cell in column if cell is not None]
    numeric = [isinstance(cell, Estimate) or _is_number(cell) for cell in there]
    return "right" if there and all(numeric) else "left"
