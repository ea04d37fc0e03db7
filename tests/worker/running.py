"""Run a real `Loop` in this process and return when it has nothing left to do."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connections

from background_task import telemetry
from background_task.store import Store, get_store
from background_task.tasks import tasks
from background_task.worker import Control, Loop, Options, Summary
from tests.waiting import wait_until

DEADLINE_SECONDS = 60.0
OVER = "the test is over"

Ended = Callable[[str, dict[str, Any]], bool]


class Events:
    """What a worker tells through the telemetry, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        with self._changed:
            self.all.append((name, fields))
            self._changed.notify_all()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in list(self.all)]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [fields for found, fields in list(self.all) if found == name]

    def wait_for_any(self, *wanted: tuple[str, int], deadline: float = 30.0) -> None:
        """Wait until one of the events has come so many times."""

        def has_come() -> bool:
            return any(len(self.of(name)) >= count for name, count in wanted)

        with self._changed:
            if not self._changed.wait_for(has_come, deadline):
                raise AssertionError(f"none of {wanted} came; came: {self.names}")

    def wait_for(self, name: str, *, count: int = 1, deadline: float = 30.0) -> dict[str, Any]:
        """Wait until the event has come `count` times; its fields."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.of(name)) >= count, deadline):
                raise AssertionError(f"{name} x {count} did not come; came: {self.names}")
            return self.of(name)[count - 1]


def is_idle(name: str, fields: dict[str, Any]) -> bool:
    """Nothing is due, or about to be."""
    return name == "idle" and fields["seconds"] > 0.01


class Worker:
    """One loop, its orders, and what it has told so far."""

    def __init__(self, *, registry: Any = None, store: Store | None = None, **options: Any) -> None:
        options.setdefault("lease", timedelta(seconds=60))
        self.events = Events()
        self.control = Control()
        self.loop = Loop(
            tasks._tasks if registry is None else registry,
            store=store or get_store(),
            control=self.control,
            options=Options(**options),
        )

    @property
    def name(self) -> str:
        return self.loop.identity.name

    def stop(self, *, within: float = 20.0) -> None:
        self.control.stop(OVER, within=within)

    def run(self, *, until: Ended = is_idle, deadline: float = DEADLINE_SECONDS) -> Summary:
        """Work in this thread until an event says that it is enough."""

        has_nothing = False

        def watch(name: str, fields: dict[str, Any]) -> None:
            nonlocal has_nothing
            has_nothing &= name != "start"
            if self.control.is_stopping or not until(name, fields):
                return
            # A thread may not have begun yet with what it was given; it says so when it is done.
            if until is is_idle and self.loop.executor.load():
                return
            if until is is_idle and not has_nothing:
                # While it looked, the keeper may have been handing something back, or the last
                # slot been taken for whose functions it would otherwise have asked: once more.
                has_nothing = not self.loop.hand._lock.locked()
                self.control.polling.wake()
                return
            self.stop()

        emergency = threading.Timer(deadline, self.control.stop_now)
        emergency.daemon = True
        emergency.start()
        try:
            with telemetry.subscribed(self.events), telemetry.subscribed(watch):
                summary = self.loop.run()
        finally:
            emergency.cancel()
            self.control.polling.close()
        if self.control.is_at_once:
            raise AssertionError(f"not done within {deadline:g} s; events: {self.events.names}")
        return summary

    @contextmanager
    def running(self, *, deadline: float = DEADLINE_SECONDS):
        """Work in a thread while the block does something else; stopped at its end."""
        errors: list[BaseException] = []

        def serve() -> None:
            try:
                self.loop.run()
            except BaseException as error:
                errors.append(error)
                raise
            finally:
                connections.close_all()

        thread = threading.Thread(target=serve, name="worker under test", daemon=True)
        with telemetry.subscribed(self.events):
            thread.start()
            try:
                yield self
            finally:
                if not self.control.is_stopping:
                    self.stop()
                thread.join(timeout=deadline)
                self.control.polling.close()
        if thread.is_alive():
            raise AssertionError(f"the worker did not stop within {deadline:g} s")
        if errors:
            raise errors[0]


def with_experience(worker: Worker, *, count: int = 50) -> Worker:
    """Let the worker believe that it has just run many quick tasks."""
    for part in worker.loop.parts:
        part._pace.claimed(count)
        part._pace.add(0.0001)
    return worker


def work_off(**options: Any) -> Worker:
    """Run everything that is due; the worker, to be asked what happened."""
    until = options.pop("until", is_idle)
    worker = Worker(**options)
    worker.summary = worker.run(until=until)
    return worker


def let_end_without_work(monkeypatch: Any) -> None:
    """Let workers end once they have looked in vain a few times, however slow the machine is."""
    wait, looks = Loop._wait, []

    def wait_and_end(loop: Loop) -> None:
        wait(loop)
        if not loop.executor.load():
            looks.append(loop)
        if looks.count(loop) == 5:
            loop.control.stop("nothing is left to do", within=20, is_order=False)

    monkeypatch.setattr(Loop, "_wait", wait_and_end)


def wait_for_lock(pk: int, *, deadline: float = 30.0) -> str:
    """Wait until somebody owns the row; its owner."""
    from background_task.models import Task

    def owner() -> str | None:
        return Task.objects.filter(pk=pk).values_list("locked_by", flat=True).first()

    return wait_until(owner, deadline=deadline, message=f"row {pk} is claimed")
