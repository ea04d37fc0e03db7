"""The points of a run at which its worker may die, or be taken for dead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import StopNow
from ..models import Task

#: Statements that write nothing.
READING = re.compile(r"\s*(SELECT|SET|SHOW|PRAGMA|EXPLAIN)\b", re.IGNORECASE)
#: Statements that only begin, divide or end a transaction.
DIVIDING = re.compile(r"\s*(BEGIN|START|SAVEPOINT|RELEASE|ROLLBACK|COMMIT)\b", re.IGNORECASE)
ROLLBACK = re.compile(r"\s*ROLLBACK\b", re.IGNORECASE)
#: How often progress is written depends on the time, and it changes nothing else.
PROGRESS = re.compile(rf"UPDATE .{Task._meta.db_table}. SET .progress_json.", re.IGNORECASE)
RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
#: How much of a statement is shown.
MOST_CHARS = 60

BEFORE, AFTER = "before", "after"


class WorkerKilled(StopNow):
    """Ends a run as if its process had been killed: no code is to catch it."""


class Tracer:
    """Counts the points of a run, and lets something happen at one of them.

    Seen are this thread's connections to all databases of the project. A commit has a point before
    it and one after it; a statement outside a transaction that writes is one, too.

    Args:
        target: At which point something happens, counted from 1; None is at none.
        act: What happens there; None is that the worker is killed.
        sides: Which points of a commit count.
        each_statement: Whether there is a point before each statement, too.
    """

    def __init__(
        self,
        target: int | None = None,
        act: Callable[[], None] | None = None,
        *,
        sides: Collection[str] = (BEFORE, AFTER),
        each_statement: bool = False,
    ) -> None:
        self.points: list[str] = []
        #: How many of them lie before the record of the function's end.
        self.of_function: int | None = None
        self.is_dead = False
        self._target, self._act = target, act
        self._sides, self._each = sides, each_statement
        self._is_off = True
        self._commits = 0
        self._last = self._unread = ""
        self._written: dict[str, str] = {}

    @property
    def has_acted(self) -> bool:
        """Whether the run has come to its point, if it was to."""
        return self._target is None or len(self.points) >= self._target

    @property
    def place(self) -> str:
        """Where it was."""
        return self.points[self._target - 1] if self._target else "before it began"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count within a ``with`` block."""
        self._is_off = False
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(self._execute))
                stack.enter_context(self._replaced(connection))
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what happens within a ``with`` block: somebody else does it."""
        self._is_off = True
        yield
        self._is_off = False

    def end_function(self) -> None:
        """The function is done; what follows is the record of its end, with one commit."""
        self._reach_after_unread()
        self._each = False
        if self.of_function is None:
            self.of_function = len(self.points)

    @contextmanager
    def _replaced(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """See each commit of a connection: Django tells nobody else of it."""
        own = {"commit": self._commit, "run_and_clear_commit_hooks": self._run_hooks}
        for name, method in own.items():
            setattr(connection, name, partial(method, connection, getattr(connection, name)))
        try:
            yield
        finally:
            for name in own:
                delattr(connection, name)

    def _execute(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Stand before each statement."""
        text, connection = str(sql), context["connection"]
        if self.is_dead and not ROLLBACK.match(text):
            raise WorkerKilled("a killed worker asks for nothing any more")
        if not self._is_off:
            self._reach_after_unread()
        if self._is_off or DIVIDING.match(text) or PROGRESS.match(text):
            return execute(sql, params, many, context)
        is_writing = not READING.match(text)
        is_inside = connection.in_atomic_block or not connection.get_autocommit()
        if is_writing and not is_inside:
            name = self._next_commit(text)
            self._reach(BEFORE, name)
            result = execute(sql, params, many, context)
            self._reach_after(name, text, context)
            return result
        if is_writing:
            self._written.setdefault(connection.alias, text)
        if self._each:
            self._reach(BEFORE, _shortened(text))
        return execute(sql, params, many, context)

    def _reach_after(self, name: str, text: str, context: Any) -> None:
        """Come to the point after a statement that is a commit of its own.

        SQLite commits when what the statement returns has been read.
        """
        if context["connection"].vendor == "sqlite" and RETURNING.search(text):
            if self._act is not None:
                self._unread = name
                return
            if len(self.points) + 1 == self._target and AFTER in self._sides:
                context["cursor"].fetchall()
        self._reach(AFTER, name)

    def _reach_after_unread(self) -> None:
        name, self._unread = self._unread, ""
        if name:
            self._reach(AFTER, name)

    def _commit(self, connection: BaseDatabaseWrapper, commit: Callable[[], None]) -> None:
        """Stand before ``connection.commit``."""
        if self._is_off:
            commit()
            return
        self._last = self._next_commit(self._written.pop(connection.alias, ""))
        try:
            if self.is_dead:
                raise WorkerKilled("a killed worker commits nothing any more")
            self._reach(BEFORE, self._last)
        except WorkerKilled:
            connection.rollback()  # Django would turn autocommit on, which commits on SQLite
            raise
        commit()

    def _run_hooks(self, connection: BaseDatabaseWrapper, run: Callable[[], None]) -> None:
        """Stand after a commit, where the next transaction can begin."""
        if not self._is_off:
            hooks, connection.run_on_commit = connection.run_on_commit, []
            connection.run_commit_hooks_on_set_autocommit_on = False
            self._reach(AFTER, self._last)
            connection.run_on_commit = hooks
        run()

    def _next_commit(self, text: str) -> str:
        self._commits += 1
        return f"commit {self._commits}" + (f" ({_shortened(text)})" if text else "")

    def _reach(self, side: str, name: str) -> None:
        if side not in self._sides:
            return
        self.points.append(f"{side} {name}")
        if len(self.points) != self._target:
            return
        if self._act is not None:
            with self.paused():
                self._act()
            return
        self.is_dead = True
        raise WorkerKilled(f"killed {self.points[-1]}")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARS else f"{line[: MOST_CHARS - 3]}..."
