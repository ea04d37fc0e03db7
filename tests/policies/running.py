"""Define a task function and run its rows, in each of the ways that there are."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from background_task import telemetry
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.tasks import TaskProxy, Tasks
from tests.worker.running import Events, Worker

#: How the functions of a test are run: by a worker, or one by one from code.
WAYS = {
    "inline": {},
    "threads": {"threads": 2},
    "coroutines": {"concurrency": 3},
    "code": None,
}
#: With each of these events a claim ends.
ENDS = ("success", "failure", "discard", "cancel", "retry", "release", "late", "defect")
LONG = 300.0  # a sleep that would fail the test if it were waited for


class Bench:
    """Where the tasks of a test are defined and run.

    Args:
        registry: The functions by name.
        way: One of ``WAYS``.
    """

    def __init__(self, registry: Tasks, way: str) -> None:
        self.registry = registry
        self.way = way

    def task(self, function: Callable[..., Any], **options: Any) -> TaskProxy[..., Any]:
        """Decorate a function; for ``--async`` it becomes a coroutine function."""
        called = function
        if self.way == "coroutines":

            async def called(*args: Any, **kwargs: Any) -> Any:
                return function(*args, **kwargs)

        return self.registry.background(name="job", **options)(called)

    def raising(self, *raised: BaseException, **options: Any) -> TaskProxy[..., Any]:
        """Define a task that raises these one after the other, and then returns."""
        left = list(raised)

        def fail() -> None:
            if left:
                raise left.pop(0)

        return self.task(fail, **options)

    def work(self, count: int = 1, **options: Any) -> Events:
        """Run until so many claims have ended; what happened meanwhile."""
        if WAYS[self.way] is None:
            events = Events()
            with telemetry.subscribed(events):
                for _ in range(count):
                    assert self.registry.run_next_task()
            return events
        worker = Worker(sleep=LONG, **WAYS[self.way], **options)

        def is_done(name: str, fields: dict[str, Any]) -> bool:
            return name in ENDS and sum(name in ENDS for name in worker.events.names) >= count

        worker.run(until=is_done)
        assert "defect" not in worker.events.names
        return worker.events

    def work_off(self) -> int:
        """Run the one task until it has ended, whatever the waits; how many runs that took."""
        for number in range(1, 100):
            self.work()
            if not Task.objects.exists():
                return number
            make_due()
        raise AssertionError("it does not end")


def make_due(**changes: Any) -> None:
    """Let whatever waits be due."""
    Task.objects.update(run_at=get_store().now() - timedelta(seconds=1), **changes)


def completed() -> CompletedTask:
    return CompletedTask.objects.get()


def assert_waits(task: Task, seconds: float, *, while_: Callable[[], Any]) -> None:
    """Do something after which the row waits for so long, by the database's clock."""
    before = get_store().now()
    while_()
    after = get_store().now()
    run_at = Task.objects.get(pk=task.pk).run_at
    wait = timedelta(seconds=seconds)
    assert before <= run_at - wait <= after, run_at - before
