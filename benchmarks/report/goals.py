"""The goals, and how far they are reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..peers import NAMES, load
from ..plan import BESIDE, FLOOR, SAVE
from ..results import Cell, Results, percentile

OURS = "ours"
MIB = 2**20
DATABASES = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "mariadb": "MariaDB"}


@dataclass(frozen=True)
class Goal:
    """One line: what was wanted and what was found."""

    what: str
    wanted: str
    found: str
    is_reached: bool


def at_least(what: str, least: float, found: float | None, *, of: str = "") -> Iterator[Goal]:
    if found is not None:
        yield Goal(what, f"≥ {number(least)}{of}", f"{number(found)}{of}", found >= least)


def at_most(what: str, most: float, found: float | None, *, of: str = "") -> Iterator[Goal]:
    if found is not None:
        yield Goal(what, f"≤ {number(most)}{of}", f"{number(found)}{of}", found <= most)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def goals(results: Results) -> list[Goal]:
    """Return a line for each goal that was measured."""
    parts = (drains, workers, storing, costs, latencies, idle, backlogs, memory, pages)
    return [goal for part in parts for goal in part(results)]


def rate(results: Results, peer: str, database: str) -> float | None:
    """Return the better of two configurations, with one worker."""
    cells = [Cell("drain", peer, database, config) for config in ("default", "best")]
    return max(filter(None, map(results.median, cells)), default=None)


def best_peer(results: Results, database: str, names: Iterable[str]) -> tuple[str, float] | None:
    found = [(rate(results, name, database) or 0.0, name) for name in names]
    best = max(found, default=(0.0, ""))
    return (load(best[1]).title, best[0]) if best[0] else None


def drains(results: Results) -> Iterator[Goal]:
    stored = [name for name in NAMES if name not in (OURS, "celery")]
    ours = rate(results, OURS, "postgresql")
    if best := best_peer(results, "postgresql", stored):
        what = f"drain, one worker, PostgreSQL, beside the best peer ({best[0]})"
        yield from at_least(what, 10, ratio(ours, best[1]), of=" times")
    floor = results.median(Cell("drain", FLOOR, "postgresql", "batch-50"))
    what = "the same beside bare SQL in batches of 50"
    yield from at_least(what, 0.25, ratio(ours, floor), of=" times")
    both = results.median(Cell("drain", OURS, "postgresql", "processes 2"))
    yield from at_least("the same with two processes", 1 / 3, ratio(both, floor), of=" times")
    ours = rate(results, OURS, "sqlite")
    if best := best_peer(results, "sqlite", [name for name in stored if name != "huey"]):
        what = f"drain, one worker, SQLite, beside the best Django peer ({best[0]})"
        yield from at_least(what, 10, ratio(ours, best[1]), of=" times")
    huey = rate(results, "huey", "sqlite")
    yield from at_least("the same beside huey", 2, ratio(ours, huey), of=" times")


def workers(results: Results) -> Iterator[Goal]:
    for database in ("postgresql", "sqlite"):
        one, four = (results.median(Cell("drain", OURS, database, "best", n)) for n in (1, 4))
        what = f"drain, four workers beside one, {DATABASES[database]}"
        yield from at_least(what, 1, ratio(four, one), of=" times")


def storing(results: Results) -> Iterator[Goal]:
    for database in ("postgresql", "sqlite"):
        ours, bare = (
            results.median(Cell("enqueue", peer, database, "default")) for peer in (OURS, SAVE)
        )
        what = f"enqueue one, beside a bare `Model.save()`, {DATABASES[database]}"
        yield from at_most(what, 1.3, ratio(bare, ours), of=" times as long")
    for database, least in (("postgresql", 24_000), ("sqlite", 40_000)):
        ours = results.median(Cell("bulk", OURS, database, "default"))
        what = f"bulk enqueue of 10,000, {DATABASES[database]}"
        yield from at_least(what, least, ours, of=" rows/s")
    rival, ours = (
        results.median(Cell("bulk", peer, "postgresql", "default"))
        for peer in ("procrastinate", OURS)
    )
    yield from at_least("the same beside procrastinate", 1, ratio(ours, rival), of=" times")


def costs(results: Results) -> Iterator[Goal]:
    for database in ("postgresql", "sqlite"):
        found = results.median(Cell("drain", OURS, database, "best"), "cpu_per_1000")
        what = f"worker CPU for 1,000 tasks, {DATABASES[database]}"
        yield from at_most(what, 0.1, found, of=" s")


def waits(results: Results, cell: Cell) -> list[float]:
    """Return what all rounds measured, in milliseconds."""
    rows = results.rows(cell)
    return [wait * 1000 for row in rows for wait in row.get("found", {}).get("waits", [])]


def latencies(results: Results) -> Iterator[Goal]:
    limits = {"sqlite": {50: 10.0, 95: 30.0}, "mariadb": {95: 300.0}}
    ours = waits(results, Cell("latency", OURS, "postgresql", "default"))
    rivals = [
        found
        for config in ("default", "best")
        if (found := waits(results, Cell("latency", "procrastinate", "postgresql", config)))
    ]
    if ours and rivals:
        for percent in (50, 95):
            most = min(percentile(found, percent) for found in rivals)
            what = f"pick-up when idle, p{percent}, PostgreSQL, beside procrastinate"
            yield from at_most(what, most, percentile(ours, percent), of=" ms")
    for database, wanted in limits.items():
        if found := waits(results, Cell("latency", OURS, database, "default")):
            for percent, most in wanted.items():
                what = f"pick-up when idle, p{percent}, {DATABASES[database]}"
                yield from at_most(what, most, percentile(found, percent), of=" ms")


def idle(results: Results) -> Iterator[Goal]:
    for database in ("postgresql", "sqlite"):
        cell = Cell("idle", OURS, database, "default")
        share, statements = (results.median(cell, name) for name in ("cpu_share", "statements"))
        name = DATABASES[database]
        if share is not None:
            yield from at_most(f"idle, share of a core, {name}", 1, share * 100, of=" %")
        yield from at_most(f"idle, statements, {name}", 2, statements, of="/s")


def backlogs(results: Results) -> Iterator[Goal]:
    """Compare each backlog with the best rate of a smaller one.

    Not with the smallest alone: a thousand tasks are done before a worker is at its full speed.
    """
    for database in ("postgresql", "sqlite"):
        cells = [
            cell
            for cell in results.cells("backlog")
            if (cell.peer, cell.database) == (OURS, database)
        ]
        plain = {int(c.detail): results.median(c) for c in cells if BESIDE not in c.detail}
        rates = {size: found for size, found in plain.items() if found}
        for size in sorted(rates)[1:]:
            smaller = max(found for other, found in rates.items() if other < size)
            what = f"drain with {size:,} pending beside fewer, {DATABASES[database]}"
            yield from at_least(what, 0.85, ratio(rates[size], smaller), of=" times")
        for cell in cells:
            pending, _, finished = cell.detail.partition(BESIDE)
            if finished:
                alone = rates.get(int(pending))
                what = (
                    f"drain with {int(pending):,} pending and {int(finished):,} finished rows "
                    f"beside none, {DATABASES[database]}"
                )
                yield from at_least(what, 0.85, ratio(results.median(cell), alone), of=" times")


def memory(results: Results) -> Iterator[Goal]:
    cell = Cell("memory", OURS, "postgresql", "best")
    base, rest, after, tasks = (
        results.median(cell, name) for name in ("base_rss", "rest_rss", "after_rss", "tasks")
    )
    if base is None or rest is None or after is None or tasks is None:
        return
    yield from at_most("memory above `django.setup()`", 15, (rest - base) / MIB, of=" MiB")
    what = f"the same after {tasks:,.0f} tasks"
    yield from at_most(what, 15, (after - base) / MIB, of=" MiB")


def page_times(results: Results, database: str) -> tuple[list[int], dict[str, list[float]]]:
    """Return the numbers of rows, and for each page of the admin its seconds beside them."""
    cells = [cell for cell in results.cells("pages") if cell.database == database]
    cells.sort(key=lambda cell: int(cell.detail))
    found = [rows[0]["found"] for cell in cells if "found" in (rows := results.rows(cell))[0]]
    if len(found) < len(cells):
        return [], {}
    names = [name for name in found[0] if name != "took"] if found else []
    return [int(cell.detail) for cell in cells], {n: [each[n] for each in found] for n in names}


def pages(results: Results) -> Iterator[Goal]:
    """Compare each page beside many rows with itself beside few; the worst one tells."""
    for database in ("postgresql", "sqlite"):
        sizes, seconds = page_times(results, database)
        grown = {name: ratio(times[-1], times[0]) or 0.0 for name, times in seconds.items()}
        if grown and len(sizes) > 1:
            name = max(grown, key=grown.__getitem__)
            what = (
                f"the admin's pages with {sizes[-1]:,} rows beside {sizes[0]:,}, "
                f"{DATABASES[database]}; the worst ({name})"
            )
            yield from at_most(what, 1.5, grown[name], of=" times as long")
