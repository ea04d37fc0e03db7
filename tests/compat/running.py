"""Run tasks in the caller or in the thread pool, and return when they have finished."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from background_task import signals
from background_task.management.commands.process_tasks import _configure_log_std
from background_task.tasks import tasks

DEADLINE_SECONDS = 20


class Recording:
    """A task function that remembers every call, in the order in which they came."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        return self.result


class Runs:
    """Counts finished runs, so that a test can wait for work done in another thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._finished = 0

    def __enter__(self) -> "Runs":
        signals.task_finished.connect(self._count, weak=False, dispatch_uid=self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        signals.task_finished.disconnect(dispatch_uid=self)

    def _count(self, **kwargs: Any) -> None:
        with self._changed:
            self._finished += 1
            self._changed.notify_all()

    def _wait_for(self, count: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._finished >= count, DEADLINE_SECONDS):
                raise AssertionError(f"no task finished within {DEADLINE_SECONDS} s")

    @contextlib.contextmanager
    def expecting(self, count: int) -> Iterator[None]:
        """Wait, at the end of the block, until what it started has finished."""
        expected = self._finished + count
        yield
        self._wait_for(expected)

    def next(self, queue: str | None = None) -> bool:
        """Run the next due task to its end; False when nothing is due."""
        expected = self._finished + 1
        ran = tasks.run_next_task(queue) if queue is not None else tasks.run_next_task()
        if ran:
            self._wait_for(expected)
        return ran

    def this(self, *args: Any, **kwargs: Any) -> None:
        """Call ``tasks.run_task`` and wait for what it started."""
        with self.expecting(1):
            tasks.run_task(*args, **kwargs)

    def start(self, count: int) -> None:
        """Hand ``count`` due tasks to the pool, and wait for all of them only then."""
        with self.expecting(count):
            for _ in range(count):
                assert tasks.run_next_task() is True

    def all(self, queue: str | None = None) -> int:
        """Run due tasks until none is left; the number that ran."""
        count = 0
        while self.next(queue):
            count += 1
        return count


class SignalLog:
    """Every signal of the package, in order, with a copy of what could be seen then."""

    NAMES = (
        "task_created",
        "task_started",
        "task_successful",
        "task_error",
        "task_rescheduled",
        "task_failed",
        "task_finished",
    )

    def __init__(self, look: Callable[[str, dict[str, Any]], Any] | None = None) -> None:
        self.look = look
        self.entries: list[tuple[str, Any, dict[str, Any]]] = []
        self.seen: dict[str, Any] = {}

    def __enter__(self) -> "SignalLog":
        for name in self.NAMES:
            getattr(signals, name).connect(
                self._receiver(name), weak=False, dispatch_uid=(id(self), name)
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in self.NAMES:
            getattr(signals, name).disconnect(dispatch_uid=(id(self), name))

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, signal: Any, **kwargs: Any) -> None:
            if self.look is not None:
                self.seen[name] = self.look(name, kwargs)
            self.entries.append((name, sender, kwargs))

        return receive

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.entries]

    def of(self, name: str) -> tuple[Any, dict[str, Any]]:
        """Sender and keywords of the only signal with this name."""
        (found,) = [(sender, kwargs) for entry, sender, kwargs in self.entries if entry == name]
        return found


class FailOnce:
    """An ``execute_wrapper`` that makes the first statement of one kind on one table fail."""

    def __init__(self, statement: str, table: str, error: Exception) -> None:
        self.start = (f'{statement} "{table}" ', f"{statement} `{table}` ")
        self.error = error
        self.happened = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self.happened and sql.startswith(self.start):
            self.happened = True
            raise self.error
        return execute(sql, params, many, context)


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """Puts the standard streams back.

    No fixture: between a test's setup and its body pytest puts its own streams back.
    """
    before = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def streams_to_log() -> Iterator[None]:
    """Standard streams as ``--log-std`` makes them."""
    with streams_kept():
        _configure_log_std()
        yield
