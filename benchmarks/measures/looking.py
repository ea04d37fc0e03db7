"""How long the pages of the admin take beside few rows and beside many."""

from __future__ import annotations

from typing import Any

from ..bench import Bench
from ..peers import Peer

#: How often each page is asked for.
TIMES = 15


def look(bench: Bench, peer: Peer, kind: str, *, rows: int) -> dict[str, Any]:
    """Return the median seconds of each page, with so many rows in each of the two tables."""
    with bench.project(peer, kind, "pages", pending=rows, finished=rows) as project:
        return project.client("pages", TIMES)
