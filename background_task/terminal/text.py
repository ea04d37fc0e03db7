"""A snapshot as plain text, for pipes and for terminals without the extra."""

from __future__ import annotations

from collections.abc import Iterator

from .snapshot import Snapshot
from .table import TABLES, Table, headline

GAP = "  "


def as_text(snapshot: Snapshot) -> str:
    """Return it."""
    lines = [headline(snapshot)]
    for table in TABLES:
        lines += ["", table.name, *_lines(table, snapshot)]
    return "\n".join(lines)


def _lines(table: Table, snapshot: Snapshot) -> Iterator[str]:
    rows = [table.cells(row) for row in table.rows(snapshot)]
    if not rows:
        yield f"{GAP}none"
        return
    shown = [table.head, *rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [
            f"{cell:>{width}}" if title in table.numbers else f"{cell:<{width}}"
            for title, cell, width in zip(table.head, row, widths, strict=True)
        ]
        yield (GAP + GAP.join(cells)).rstrip()
