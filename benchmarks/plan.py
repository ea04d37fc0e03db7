"""Which figures are measured, how often, and with what effort."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .floor import BATCHES
from .peers import Peer
from .results import Cell

#: What can be asked for with --only, in the order in which a round does it.
KINDS = ("drain", "enqueue", "bulk", "latency", "backlog", "memory", "idle", "pages")
FLOOR = "floor"
#: The "peer" that saves bare rows.
SAVE = "save"
#: In the detail of a backlog, before the number of finished rows.
BESIDE = " beside "
#: Peers whose rate with a huge backlog is worth the time: the fastest without it.
ENDURING = ("ours", "huey", "procrastinate")


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    rounds: int
    drain_seconds: float
    enqueues: int
    bulk: int
    samples: int
    #: Workers have a turn at tidying up each minute.
    idle_seconds: float
    backlogs: tuple[int, ...]
    large_backlogs: tuple[int, ...]
    finished_rows: int
    memory_tasks: int
    #: As many tasks as a peer does in about so long, if that is fewer.
    memory_seconds: float
    floor_rows: int
    #: How many rows are in each of the two tables while the admin's pages are looked at.
    page_rows: tuple[int, ...]


FULL = Scale(
    rounds=3,
    drain_seconds=2.0,
    enqueues=1000,
    bulk=10_000,
    samples=17,
    idle_seconds=60,
    backlogs=(1_000, 10_000, 100_000),
    large_backlogs=(1_000_000,),
    finished_rows=1_000_000,
    memory_tasks=100_000,
    memory_seconds=10,
    floor_rows=200_000,
    page_rows=(1_000, 1_000_000),
)
QUICK = Scale(
    rounds=1,
    drain_seconds=1.5,
    enqueues=300,
    bulk=10_000,
    samples=8,
    idle_seconds=8,
    backlogs=(10_000, 100_000),
    large_backlogs=(),
    finished_rows=100_000,
    memory_tasks=20_000,
    memory_seconds=3,
    floor_rows=100_000,
    page_rows=(1_000, 100_000),
)


@dataclass(frozen=True)
class Job:
    """A cell, and in how many rounds it is measured: what is no goal of ours, in one only."""

    cell: Cell
    rounds: int


def jobs(
    scale: Scale,
    peers: Collection[Peer],
    *,
    only: Collection[str],
    databases: Collection[str],
    with_floor: bool,
) -> Iterator[Job]:
    """Yield what is to be measured."""
    makers = {
        "drain": drains,
        "enqueue": enqueues,
        "bulk": bulks,
        "latency": latencies,
        "backlog": backlogs,
        "memory": memories,
        "idle": idles,
        "pages": pages,
    }
    for kind in KINDS:
        if kind in only:
            for peer in peers:
                yield from (
                    job for job in makers[kind](scale, peer) if job.cell.database in databases
                )
    if with_floor:
        yield from (job for job in floors(scale, only) if job.cell.database in databases)


def stored(peer: Peer) -> list[str]:
    """The databases of a peer that every measurement is made in; MariaDB only has its latency."""
    return [kind for kind in peer.databases if kind != "mariadb"]


def drains(scale: Scale, peer: Peer) -> Iterator[Job]:
    for kind in stored(peer):
        yield Job(Cell("drain", peer.name, kind, "default"), scale.rounds)
        for count in peer.workers:
            rounds = scale.rounds if count == 1 or peer.is_ours else 1
            yield Job(Cell("drain", peer.name, kind, "best", count), rounds)
        for variant in peer.variants:
            yield Job(Cell("drain", peer.name, kind, variant), scale.rounds)


def floors(scale: Scale, only: Collection[str]) -> Iterator[Job]:
    for kind in ("postgresql", "sqlite"):
        if "drain" in only:
            for variant in BATCHES:
                yield Job(Cell("drain", FLOOR, kind, variant), scale.rounds)


def enqueues(scale: Scale, peer: Peer) -> Iterator[Job]:
    for kind in stored(peer):
        yield Job(Cell("enqueue", peer.name, kind, "default"), scale.rounds)
        if peer.is_ours:
            yield Job(Cell("enqueue", SAVE, kind, "default"), scale.rounds)


def bulks(scale: Scale, peer: Peer) -> Iterator[Job]:
    if peer.has_bulk:
        for kind in stored(peer):
            yield Job(Cell("bulk", peer.name, kind, "default"), scale.rounds)


def latencies(scale: Scale, peer: Peer) -> Iterator[Job]:
    for kind in peer.databases:
        rounds = scale.rounds if peer.is_ours else 1
        yield Job(Cell("latency", peer.name, kind, "default"), rounds)
        if kind != "mariadb":
            yield Job(Cell("latency", peer.name, kind, "best"), scale.rounds)


def backlogs(scale: Scale, peer: Peer) -> Iterator[Job]:
    if peer.table is None:
        return
    rounds = scale.rounds if peer.is_ours else 1
    for kind in stored(peer):
        large = scale.large_backlogs if kind == "postgresql" and peer.name in ENDURING else ()
        sizes = scale.backlogs if peer.is_ours else (scale.backlogs[0], scale.backlogs[-1])
        for count in (*sizes, *large):
            yield Job(Cell("backlog", peer.name, kind, "best", detail=f"{count}"), rounds)
        if peer.table.finished and (kind == "postgresql" or peer.is_ours):
            detail = f"{scale.backlogs[-1]}{BESIDE}{scale.finished_rows}"
            yield Job(Cell("backlog", peer.name, kind, "best", detail=detail), rounds)


def memories(scale: Scale, peer: Peer) -> Iterator[Job]:
    yield Job(Cell("memory", peer.name, stored(peer)[0], "best"), 1)


def idles(scale: Scale, peer: Peer) -> Iterator[Job]:
    for kind in stored(peer):
        yield Job(Cell("idle", peer.name, kind, "default"), 1)


def pages(scale: Scale, peer: Peer) -> Iterator[Job]:
    if peer.is_ours:
        for kind in stored(peer):
            for rows in scale.page_rows:
                yield Job(Cell("pages", peer.name, kind, "default", detail=f"{rows}"), 1)
