"""What an adapter tells about its queue.

An adapter is imported twice: by the harness, and inside the project under test. So nothing but the
standard library is imported at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Where the pending tasks are, and how to make more of one of them by SQL."""

    name: str
    #: Columns that the database numbers by itself.
    serial: tuple[str, ...] = ("id",)
    #: Columns that need a new UUID in each row.
    uuids: tuple[str, ...] = ()
    #: Whether these begin with the time, as those of version 7 do.
    are_uuids_ordered: bool = False
    #: The condition for rows that are not finished.
    unfinished: str = "1 = 1"
    #: A query for the number of tasks that failed; there must be none.
    failed: str | None = None
    #: Whether copies of a row are as good as tasks that were stored one by one.
    can_be_cloned: bool = True
    #: Where finished rows are, and the columns that differ there; None: nothing is kept.
    finished: str | None = None
    finish: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """One database for one queue."""

    kind: str  # postgresql, sqlite, mariadb
    name: str  # of the database, or the path of the file
    port: int = 0
    user: str = ""

    def url(self) -> str:
        """Return the address as a URL, as libraries other than Django want it."""
        user = f"{self.user}@" if self.user else ""
        return f"{self.kind}://{user}127.0.0.1:{self.port}/{self.name}"


class Peer:
    """One queue, configured in two ways: "default" and "best"."""

    name: str
    title: str
    requirements: tuple[str, ...] = ()
    databases: tuple[str, ...] = ("postgresql", "sqlite")
    #: The distribution whose version is reported.
    distribution: str
    #: None: the adapter overrides `unfinished`.
    table: Table | None = None
    #: Roughly how many tasks a worker does in a second, to choose a backlog.
    pace: int = 1000
    #: Numbers of workers of the "best" configuration that say something about this peer.
    workers: tuple[int, ...] = (1, 2, 4)
    #: Other ways to run it, of which each is measured with one worker.
    variants: tuple[str, ...] = ()
    has_bulk = False
    is_ours = False
    #: What "default" and "best" are, for the report.
    default = ""
    best = ""

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        """Return the Django settings that differ; `INSTALLED_APPS` is added to what is there."""
        return {}

    def options(self, place: Place, config: str) -> dict[str, Any]:
        """Return what differs in the `OPTIONS` there."""
        return {}

    def connection(self, config: str) -> dict[str, Any]:
        """Return what differs in Django's `DATABASES["default"]`."""
        return {}

    def command(self, config: str) -> list[str]:
        """Return the worker's command line, after "python -m"; {number} tells workers apart."""
        raise NotImplementedError

    def register(self, function: Callable[..., None]) -> Any:
        """Make a function of the project's `tasks` module a task."""
        raise NotImplementedError

    def enqueue(self, task: Any, *args: Any) -> None:
        """Store one call, in the way the documentation shows."""
        raise NotImplementedError

    def enqueue_many(self, task: Any, calls: Iterable[tuple[Any, ...]]) -> None:
        """Store many calls with the queue's own interface for it, if `has_bulk`."""
        raise NotImplementedError

    def unfinished(self, connection: Any) -> int:
        """Return how many tasks are not finished."""
        assert self.table is not None
        sql = f"SELECT count(*) FROM {self.table.name} WHERE {self.table.unfinished}"
        return int(connection.execute(sql).fetchone()[0])

    def fill(self, task: Any, count: int) -> None:
        """Store many no-op calls in some quick way, where rows cannot be cloned."""
        raise NotImplementedError


def manage(*words: str) -> list[str]:
    """Return a management command as arguments for "python -m"."""
    return ["django", *words]
