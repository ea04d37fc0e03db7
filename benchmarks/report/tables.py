"""The tables in Markdown, one function for each measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..floor import BATCHES
from ..peers import NAMES, Peer, load
from ..plan import BESIDE, FLOOR, SAVE, stored
from ..results import Cell, Results, Spread, percentile
from .goals import DATABASES, MIB, goals, page_times, waits
from .svg import figure

NOTHING = "-"
#: Celery stores no task in a database; it is shown beside those that use PostgreSQL.
OUTSIDE = {"postgresql": ("postgresql", "redis"), "sqlite": ("sqlite",), "mariadb": ("mariadb",)}


def table(titles: Sequence[str], *rows: Sequence[str]) -> str:
    """Return a table, or nothing where there is no row."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def shown(spread: Spread | None) -> str:
    """Return "median (lowest to highest)"."""
    if spread is None:
        return NOTHING
    if spread.rounds == 1:
        return figure(spread.median)
    return f"{figure(spread.median)} ({figure(spread.low)} to {figure(spread.high)})"


def single(value: float | None) -> str:
    return NOTHING if value is None else figure(value)


def title(peer: Peer, results: Results) -> str:
    """Return the name with the version that was measured."""
    version = results.versions().get(peer.name, {}).get("version", "")
    if peer.is_ours:
        return f"**{peer.title} {version}**".replace(" **", "**")
    return peer.title if version and version in peer.title else f"{peer.title} {version}".strip()


def home(peer: Peer, database: str) -> str:
    """Return where a peer is measured that is shown among those of a database; "": nowhere."""
    return next((kind for kind in OUTSIDE[database] if kind in peer.databases), "")


def per_peer(
    results: Results, titles: Sequence[str], cells: Callable[[Peer], Sequence[str]]
) -> list[Sequence[str]]:
    """Return the titles, and a row for each peer of which at least one figure is there."""
    found = [(peer, cells(peer)) for peer in map(load, NAMES)]
    return [
        ["queue", *titles],
        *(
            [title(peer, results), *values]
            for peer, values in found
            if any(value != NOTHING for value in values)
        ),
    ]


def goal_table(results: Results) -> str:
    rows = [
        [goal.what, goal.wanted, goal.found, "yes" if goal.is_reached else "**no**"]
        for goal in goals(results)
    ]
    return table(["what", "goal", "measured", "reached"], *rows)


def drain_table(results: Results, database: str) -> str:
    def cells(peer: Peer) -> list[str]:
        kind = home(peer, database)
        one = Cell("drain", peer.name, kind, "best")
        default = Cell("drain", peer.name, kind, "default")
        variants = [Cell("drain", peer.name, kind, variant) for variant in peer.variants]
        return [
            shown(results.spread(default)),
            shown(results.spread(one)),
            *(
                shown(results.spread(Cell("drain", peer.name, kind, "best", count)))
                for count in (2, 4)
            ),
            shown(results.spread(variants[0])) if variants else NOTHING,
            single(results.median(one, "cpu_per_1000")),
            single(results.median(one, "server_cpu_per_1000") or None),
        ]

    titles = [
        "default, 1 worker",
        "best, 1 worker",
        "best, 2 workers",
        "best, 4 workers",
        "one worker with 2 processes",
        "worker CPU s per 1,000 (best)",
        "server CPU s per 1,000 (best)",
    ]
    floors = [
        [f"*bare SQL, {variant}*", NOTHING, shown(spread), *[NOTHING] * 3, single(cpu), NOTHING]
        for variant in BATCHES
        if (spread := results.spread(cell := Cell("drain", FLOOR, database, variant)))
        and (cpu := results.median(cell, "cpu_per_1000")) is not None
    ]
    return table(*per_peer(results, titles, cells), *floors)


def storing_table(results: Results) -> str:
    def cells(peer: Peer) -> list[str]:
        return [
            shown(results.spread(Cell(what, peer.name, home(peer, database), "default")))
            for what in ("enqueue", "bulk")
            for database in ("postgresql", "sqlite")
        ]

    titles = ["one by one, PostgreSQL", "one by one, SQLite", "bulk, PostgreSQL", "bulk, SQLite"]
    rows = per_peer(results, titles, cells)
    bare = [
        shown(results.spread(Cell("enqueue", SAVE, kind, "default")))
        for kind in ("postgresql", "sqlite")
    ]
    if any(value != NOTHING for value in bare):
        rows.append(["*a bare `Model.save()`*", *bare, NOTHING, NOTHING])
    return table(*rows)


def latency_table(results: Results, database: str) -> str:
    def cells(peer: Peer) -> list[str]:
        return [
            three(waits(results, Cell("latency", peer.name, home(peer, database), config)))
            for config in ("default", "best")
        ]

    return table(*per_peer(results, ["default", "best"], cells))


def three(found: Sequence[float]) -> str:
    if not found:
        return NOTHING
    p50, p95 = percentile(found, 50), percentile(found, 95)
    return f"{figure(p50)} / {figure(p95)} / {figure(max(found))} (n={len(found)})"


def backlog_table(results: Results, database: str) -> str:
    details = {c.detail for c in results.cells("backlog") if c.database == database}
    ordered = sorted(details, key=lambda detail: (BESIDE in detail, int(detail.split()[0])))

    def cells(peer: Peer) -> list[str]:
        kind = home(peer, database)
        return [
            shown(results.spread(Cell("backlog", peer.name, kind, "best", detail=detail)))
            for detail in ordered
        ]

    return table(*per_peer(results, [headline(detail) for detail in ordered], cells))


def headline(detail: str) -> str:
    pending, _, finished = detail.partition(BESIDE)
    words = f"{int(pending):,} pending"
    return f"{words} + {int(finished):,} finished" if finished else words


def memory_table(results: Results) -> str:
    def cells(peer: Peer) -> list[str]:
        cell = Cell("memory", peer.name, stored(peer)[0], "best")
        names = ("base_rss", "rest_rss", "rest_pss", "after_rss", "after_pss")
        sizes = [results.median(cell, name) for name in names]
        counts = [results.median(cell, name) for name in ("rest_processes", "tasks")]
        return [
            *(NOTHING if size is None else figure(size / MIB) for size in sizes),
            *(NOTHING if count is None else f"{count:,.0f}" for count in counts),
        ]

    titles = [
        "`django.setup()`, RSS",
        "idle worker, RSS",
        "idle worker, PSS",
        "after its tasks, RSS",
        "after its tasks, PSS",
        "processes",
        "tasks",
    ]
    return table(*per_peer(results, titles, cells))


def idle_table(results: Results) -> str:
    def cells(peer: Peer) -> list[str]:
        found = []
        for database in ("postgresql", "sqlite"):
            kind = home(peer, database)
            cell = Cell("idle", peer.name, kind, "default")
            share = results.median(cell, "cpu_share")
            found.append(NOTHING if share is None else f"{share * 100:.2f} %")
            if database == "postgresql":
                found.append(single(results.median(cell, "statements")))
        return found

    titles = ["CPU, PostgreSQL", "statements/s, PostgreSQL", "CPU, SQLite"]
    return table(*per_peer(results, titles, cells))


def page_table(results: Results) -> str:
    titles: list[str] = ["page"]
    rows: dict[str, list[str]] = {}
    for database in ("postgresql", "sqlite"):
        sizes, seconds = page_times(results, database)
        titles += [f"{DATABASES[database]}, {size:,} rows" for size in sizes]
        for name, times in seconds.items():
            rows.setdefault(name, []).extend(figure(time * 1000) for time in times)
    return table(titles, *([name, *cells] for name, cells in rows.items()))


def configuration_table() -> str:
    rows = [[peer.title, peer.default, peer.best] for peer in map(load, NAMES)]
    return table(["queue", "default", "best"], *rows)


def database_title(database: str) -> str:
    return DATABASES[database]
