"""A call with a worker of its own, of which it is known in advance that it may die."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from .. import telemetry
from ..exceptions import BackgroundTaskError, InvalidOptionTypeError, brief
from ..immediate import LATER, Immediate, Ran, enter, leave
from ..models import Task
from ..store import Fleet, get_store
from ..task_proxy import TaskProxy
from ..tasks import tasks
from ..worker.hygiene import Mess, close_connections, put_in_order
from ..worker.recovery import recover
from .tracer import Tracer, WorkerKilled

#: Runs of one call after its fault; a function that puts itself off would go on for ever.
MOST_RUNS = 100
LEASE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that has come to its end in spite of what happened to it.

    Attributes:
        what: What that was: ``"killed before commit 2 (UPDATE ...)"``; ``"undisturbed"`` if
            nothing was.
        uid: The task: ``Task.uid``.
        args: The positional arguments of the call.
        kwargs: Its keyword arguments.
        status: How it has ended; see ``Task.status``.
        runs: The runs whose worker was not killed.
    """

    what: str
    uid: UUID
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    status: str
    runs: tuple[Ran, ...]

    def __str__(self) -> str:
        return self.what


class Rehearsal:
    """One call, claimed by a worker.

    Args:
        function: The task function.
        args: Positional arguments; one that can be called is called for its value.
        kwargs: Keyword arguments, likewise.
    """

    def __init__(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.args = tuple(map(_value, args))
        self.kwargs = {name: _value(value) for name, value in kwargs.items()}
        self.name = str(getattr(function, "module_path", function))
        self.runs: list[Ran] = []
        self._is_lost = False
        self._error: BaseException | None = None
        self._first, self._second = (Immediate(tasks._tasks, store=get_store()) for _ in range(2))
        self._store = self._first.store
        self._fleet = Fleet(self._store.using)
        self.uid = _queued(function, self.args, self.kwargs)
        self._fleet.register(self._first.owner, queues="", capacity=1, lease=LEASE)
        row = self._store.tasks.filter(uid=self.uid).first()
        claim = None if row is None else self._store.claim_one(row.pk, self._first.owner)
        if claim is None:
            raise BackgroundTaskError(
                f"the call of {self} was taken by somebody else; let no worker run beside this"
            )
        self._claim = claim

    def run(self, tracer: Tracer) -> None:
        """Let the worker run the task, as far as it gets.

        Raises:
            BaseException: What the function raises, if the task is still this worker's.
        """
        self._before_finish(tracer.end_function)
        with tracer.watching(), suppress(WorkerKilled):
            self._take(self._first.run(self._claim))
        if tracer.is_dead:
            put_in_order(Mess())
            close_connections()
        if self._error is not None:
            raise self._error
        if not tracer.is_dead and not self._is_lost:
            self._work_off()

    def run_in_vain(self) -> None:
        """Let the worker run the function, and die before the end of that is recorded.

        Raises:
            BaseException: What the function raises.
        """
        errors: list[BaseException] = []

        def take_down(name: str, fields: dict[str, Any]) -> None:
            errors.append(fields["exception"])

        self._before_finish(_die)
        with telemetry.subscribed(take_down, to=("error",)), suppress(WorkerKilled):
            self._first.run(self._claim)
        if errors:
            raise errors[0]

    def hand_over(self) -> None:
        """Take the worker for dead, recover the task, and let another one run it to its end.

        Raises:
            BaseException: What the function raises.
        """
        self._is_lost = True
        self._fleet.retire(self._first.owner)
        recover(self._second.store, registry=self._second.registry, declare=False)
        self._work_off()

    def take_over(self) -> None:
        """Do that in the middle of a run; ``run`` raises what it raises, and not that function."""
        try:
            self.hand_over()
        except BaseException as error:  # noqa: BLE001 - raised at the end of the run
            self._error = error

    def fault(self, what: str) -> Fault:
        """Return how it went."""
        self._fleet.retire(self._first.owner)
        status = Task(uid=self.uid, task_name=self.name).status
        return Fault(what, self.uid, self.args, self.kwargs, status, tuple(self.runs))

    def __str__(self) -> str:
        return self.name

    def _work_off(self) -> None:
        """Run the task until it has ended; whatever the waits between its runs."""
        for _ in range(MOST_RUNS):
            row = self._store.tasks.filter(uid=self.uid, locked_by=None, failed_at=None).first()
            ran = None if row is None else self._second.run_row(row.pk)
            if ran is None:
                return
            self._take(ran)
        raise BackgroundTaskError(
            f"{self} has been run {MOST_RUNS} times and asks for more; let it come to an end"
        )

    def _take(self, ran: Ran) -> None:
        if ran.status == "released":
            raise BackgroundTaskError(
                f"{ran.task_name!r} is not registered in this process; decorate it with "
                "background_task.background, in a module that is imported"
            )
        self.runs.append(ran)
        if ran.has_failed:
            ran.raise_error()

    def _before_finish(self, call: Callable[[], object]) -> None:
        """Have something done when the function has ended, before that is recorded."""
        finish = self._store.finish

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            call()
            return finish(*args, **kwargs)

        self._store.finish = stand_in  # type: ignore[method-assign]


def refuse_transaction() -> None:
    """Raise if nothing can be committed here.

    Raises:
        BackgroundTaskError: This is inside a transaction.
    """
    if get_store().in_transaction():
        raise BackgroundTaskError(
            "inside a transaction nothing is committed, so no worker can die at a commit; use a "
            "TransactionTestCase, or pytest.mark.django_db(transaction=True)"
        )


def _die() -> NoReturn:
    raise WorkerKilled("killed before the end was recorded")


def _value(argument: Any) -> Any:
    """Return an argument, or what it makes: nothing that can be called can be stored."""
    return argument() if callable(argument) else argument


def _queued(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> UUID:
    """Store a call and return its uid."""
    uid: UUID | None
    enter(LATER)
    try:
        if isinstance(function, TaskProxy):
            task = function(*args, **kwargs)
            uid = None if task is None else task.uid
        elif hasattr(function, "enqueue"):  # a task of django.tasks
            _check_backend(function)
            uid = UUID(function.enqueue(*args, **kwargs).id)
        else:
            raise InvalidOptionTypeError(
                f"{brief(function)} is no task function; give what @background or @task returned"
            )
    finally:
        leave(LATER)
    if uid is None:
        raise BackgroundTaskError(
            f"the call of {function} was not stored: another task waits in its place; run that "
            "first, or give other arguments"
        )
    return uid


def _check_backend(task: Any) -> None:
    """Raise if nothing can be learnt from a task of ``django.tasks``, as it is queued now.

    Raises:
        BackgroundTaskError: No worker of ours runs it, or not a second time, which nobody has
            asked for.
    """
    from ..task_backend import QueueBackend  # not every project has that framework

    backend = task.get_backend()
    alias = f"TASKS[{task.backend!r}]"
    if not isinstance(backend, QueueBackend):
        raise BackgroundTaskError(
            f"{task.module_path} is queued by {alias}, which is no DatabaseBackend of "
            "background_task; use one in this test (override_settings)"
        )
    if backend.is_immediate:
        raise BackgroundTaskError(
            f"{task.module_path} is run by {alias} when it is queued, and no worker can die of "
            "it; use a backend without immediate in this test (override_settings)"
        )
    asked = getattr(task, "max_attempts", None) or backend.options.get("max_attempts")
    if asked is None:
        raise BackgroundTaskError(
            f"{task.module_path} is tried once, as nobody has asked for more: if its worker dies "
            "it has failed, and is not run again. To see what would happen if it were, give it "
            f"another attempt: use it with .using(max_attempts=2) in this test, or with "
            f"max_attempts in {alias}['OPTIONS']"
        )
