"""Tables as text, and the figures in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Table:
    """A title, columns, rows of cells, and notes below. A cell is text, a number or `None` (not measured)."""

    title: str
    columns: Sequence[str]
    rows: list[tuple[str, list[float | str | None]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, *cells: float | str | None) -> None:
        self.rows.append((name, list(cells)))

    def __str__(self) -> str:
        lines = [["", *self.columns], *([name, *map(number, cells)] for name, cells in self.rows)]
        widths = [max(len(line[at]) for line in lines if at < len(line)) for at in range(len(self.columns) + 1)]
        text = [self.title, ""]
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=False)]
            padded = [line[0].ljust(widths[0]), *cells]
            text.append("  " + "  ".join(padded).rstrip())
        return "\n".join([*text, *(f"  {note}" for note in self.notes)])

    def as_data(self) -> Mapping[str, object]:
        rows = [{"name": name, **dict(zip(self.columns, cells, strict=False))} for name, cells in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def number(cell: float | str | None) -> str:
    """Three significant digits, with thousands separated."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if cell == 0 or cell >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if cell >= 10 else f"{cell:.2f}"


def verdict(measured: float, bound: float, unit: str, *, at_least: bool = False) -> str:
    """`met` or `MISSED`, with the target."""
    is_met = measured >= bound if at_least else measured <= bound
    sign = ">=" if at_least else "<="
    return f"{'met' if is_met else 'MISSED'} ({sign} {number(bound)} {unit})"
