"""The result of one measurement: rows of figures, and what has to be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Figures of one measurement. Every row has the same keys, which are the columns' names."""

    title: str
    rows: list[dict[str, Any]]
    notes: list[str]
    """Sentences: conditions, assumptions, and what was extrapolated."""

    def __str__(self) -> str:
        """The table in Markdown."""
        lines = [f"### {self.title}", ""]
        if self.rows:
            cells = [list(self.rows[0]), *([_text(v) for v in row.values()] for row in self.rows)]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            cells.insert(1, ["-" * width for width in widths])
            padded = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in cells)
            lines += [f"| {' | '.join(row)} |" for row in padded] + [""]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
