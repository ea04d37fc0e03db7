"""The plots: which figures become bars and lines."""

from __future__ import annotations

from collections.abc import Iterator

from ..floor import BATCHES
from ..peers import NAMES, Peer, load
from ..plan import BESIDE, FLOOR
from ..results import Cell, Results, percentile
from .goals import DATABASES, waits
from .svg import COLORS, FLOOR as FLOOR_COLOR, OTHERS, OURS, Bar, Line, bars, lines, spans
from .tables import home

#: A bar for the largest batch would make all others invisible.
SHOWN_FLOORS = [name for name, batch in BATCHES.items() if batch < 500]


def plots(results: Results) -> Iterator[tuple[str, str, str]]:
    """Yield name, title and SVG of each plot that there are figures for."""
    for database in ("postgresql", "sqlite"):
        where = DATABASES[database]
        if rows := drain_bars(results, database):
            title = f"Draining no-op tasks, one worker, {where}: tasks/s"
            yield f"drain-{database}", title, bars(title, rows)
        if rows := latency_bars(results, database):
            title = f"Pick-up when idle, default settings, {where}: p50 to p95"
            yield f"latency-{database}", title, spans(title, rows, "ms")
        if found := backlog_lines(results, database):
            title = f"Drain rate against the backlog, one worker, {where}: tasks/s"
            yield f"backlog-{database}", title, lines(title, found, "rows")


def color(peer: Peer) -> str:
    return OURS if peer.is_ours else OTHERS


def drain_bars(results: Results, database: str) -> list[Bar]:
    """Return the better configuration of each, the fastest first."""
    rows = []
    for peer in map(load, NAMES):
        kind = home(peer, database)
        spreads = [
            (spread, config)
            for config in ("default", "best")
            if (spread := results.spread(Cell("drain", peer.name, kind, config)))
        ]
        if spreads:
            spread, _ = max(spreads, key=lambda found: found[0].median)
            rows.append(Bar(peer.title, spread.median, spread.low, spread.high, color(peer)))
        for variant in peer.variants:
            if spread := results.spread(Cell("drain", peer.name, kind, variant)):
                label = f"{peer.title}, {variant}"
                rows.append(Bar(label, spread.median, spread.low, spread.high, color(peer)))
    for variant in SHOWN_FLOORS:
        if rows and (spread := results.spread(Cell("drain", FLOOR, database, variant))):
            label = f"bare SQL, {variant}"
            rows.append(Bar(label, spread.median, spread.low, spread.high, FLOOR_COLOR))
    return sorted(rows, key=lambda row: -row.value)


def latency_bars(results: Results, database: str) -> list[Bar]:
    rows = []
    for peer in map(load, NAMES):
        kind = home(peer, database)
        if found := waits(results, Cell("latency", peer.name, kind, "default")):
            p50, p95 = percentile(found, 50), percentile(found, 95)
            rows.append(Bar(peer.title, p50, p50, p95, color(peer)))
    return sorted(rows, key=lambda row: row.value)


def backlog_lines(results: Results, database: str) -> list[Line]:
    rows = []
    for number, peer in enumerate(map(load, NAMES)):
        points = sorted(
            (float(cell.detail), median)
            for cell in results.cells("backlog")
            if (cell.peer, cell.database) == (peer.name, database)
            and BESIDE not in cell.detail
            and (median := results.median(cell))
        )
        if points:
            drawn = OURS if peer.is_ours else COLORS[number % len(COLORS)]
            rows.append(Line(peer.title, points, drawn))
    return rows
