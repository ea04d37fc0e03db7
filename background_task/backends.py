"""The backend of ``django.tasks`` that keeps tasks in the same tables as ``@background`` does.

::

    TASKS = {"default": {"BACKEND": "background_task.backends.DatabaseBackend"}}
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from uuid import UUID

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Expression

from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .identity import MAX_OWNER_CHARS
from .policy_task import PolicyTask, parameters_of
from .task_backend import QueueBackend
from .task_decorator import task
from .task_framework import (
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)

if TYPE_CHECKING:
    from .models import CompletedTask, Task as Row
    from .producer import TaskSpec

__all__ = ["DatabaseBackend", "task"]

P = ParamSpec("P")
R = TypeVar("R")

#: How often a call looks again that finds a unique key taken, by a task that then is gone.
ROUNDS = 10


class DatabaseBackend(QueueBackend):
    """Queues tasks as rows, which ``process_tasks`` runs.

    The row is inserted in the caller's transaction, if there is one, and rolls back with it. May be
    used from any thread; it keeps nothing between calls.
    """

    def enqueue(self, task: Task[P, R], args: Any, kwargs: dict[str, Any]) -> TaskResult[P, R]:
        """Store a call, to be run by a worker; with ``OPTIONS["immediate"]`` it is run here.

        Args:
            task: What to call.
            args: Positional arguments: what JSON can hold.
            kwargs: Keyword arguments, likewise.

        Returns:
            How it stands. Of a unique task whose key was taken, that is how the other one stands.

        Raises:
            InvalidTask: The task is not valid (any more).
            TypeError: The function does not take these arguments, or JSON cannot hold them.
            ValueError: Bytes among them are no UTF-8, or an option has a value that cannot work.
            AlreadyScheduledError: It is unique, another task has its key, and it wants this.
        """
        result, is_new = self._store(task, args, kwargs)
        if is_new and self.has_signals:
            task_enqueued.send(type(self), task_result=result)
        if is_new and self.is_immediate:
            self._run(result)
        elif is_new and _is_eager():
            self._run_eagerly(result)
        return result

    async def aenqueue(
        self, task: Task[P, R], args: Any, kwargs: dict[str, Any]
    ) -> TaskResult[P, R]:
        """Do the same in a coroutine; receivers that are coroutines are awaited."""
        result, is_new = await sync_to_async(self._store)(task, args, kwargs)
        if is_new and self.has_signals:
            await self._tell_enqueued(result)
        if is_new and self.is_immediate:
            await sync_to_async(self._run)(result)
        elif is_new and _is_eager():
            await sync_to_async(self._run_eagerly)(result)
        return result

    def get_result(self, result_id: str) -> TaskResult[..., Any]:
        """Return how a task stands, of whichever function and alias; one query.

        Args:
            result_id: ``TaskResult.id``.

        Raises:
            TaskResultDoesNotExist: There is none of that id.
            ImportError: Its function is not there any more.
            SuspiciousOperation: Its path leads to something that is no task.
        """
        from .task_result import result_of

        row = self._find(result_id)
        if row is None:
            raise TaskResultDoesNotExist(result_id)
        return result_of(row)

    async def aget_result(self, result_id: str) -> TaskResult[..., Any]:
        """Do the same in a coroutine."""
        return await sync_to_async(self.get_result)(result_id)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Report what keeps the backend from working as the framework says."""
        if apps.is_installed("background_task"):
            return [*self._check_order(), *self._check_periodic()]
        return [
            Error(
                f"TASKS[{self.alias!r}] keeps its tasks in the tables of background_task, which is "
                "not installed",
                hint="Add 'background_task' to INSTALLED_APPS.",
                id="background_task.E005",
            )
        ]

    def _check_periodic(self) -> list[CheckMessage]:
        from .queued_periodic import queued_declarations

        try:
            queued_declarations({self.alias: self})
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            hint = f"Correct {self.name}['periodic']."
            return [Error(f"{error}.", hint=hint, id="background_task.E007")]
        return []

    def _check_order(self) -> list[CheckMessage]:
        from .settings import SETTINGS

        if SETTINGS["PRIORITY_ORDERING"].read() != "ASC":
            return []
        return [
            Warning(
                f"TASKS[{self.alias!r}] runs tasks of low priority first, because "
                "BACKGROUND_TASK_PRIORITY_ORDERING is 'ASC'; with other backends of django.tasks "
                "those of high priority come first.",
                hint="Remove the setting, and change the signs of the priorities in the project.",
                id="background_task.W008",
            )
        ]

    async def _tell_enqueued(self, result: TaskResult[..., Any]) -> None:
        if django.VERSION >= (5, 0):
            await task_enqueued.asend(type(self), task_result=result)
        else:  # whose signals know no coroutines
            await sync_to_async(task_enqueued.send)(type(self), task_result=result)

    def _store(
        self, task: Task[P, R], args: Any, kwargs: dict[str, Any]
    ) -> tuple[TaskResult[P, R], bool]:
        """Store a call; return how it stands, and whether it is a task of its own."""
        from . import producer
        from .task_result import result_of
        from .tasks import tasks

        self.validate_task(task)
        spec = self._spec(task, normalize_json((list(args), kwargs)))
        for _ in range(ROUNDS):
            row = producer.enqueue(spec, sender=type(tasks._runner))
            if row is not None:
                return cast("TaskResult[P, R]", result_of(row, task)), True
            holder = self._holder(spec)
            if holder is not None:
                return cast("TaskResult[P, R]", result_of(holder)), False
        raise ImproperlyConfigured(
            f"{task.module_path} is unique, and the task that has its key changes all the time; "
            "queue it again"
        )

    def _spec(self, task: Task[..., Any], call: Any) -> TaskSpec:
        """Return what is to be stored of a call, of which JSON can hold the arguments."""
        from .producer import TaskSpec
        from .task_result import options_of

        args, kwargs = call
        parameters = parameters_of(task)
        parameters.check(args, kwargs)
        spec = TaskSpec(
            task_name=task.module_path,
            args=args,
            kwargs=kwargs,
            run_at=task.run_after,
            priority=int(task.priority),
            queue=task.queue_name,
            options=options_of(task),
            backend=self.alias,
            uid=self._make_id(),
        )
        if not isinstance(task, PolicyTask):
            return spec
        uniqueness, limit_key = task.uniqueness(), task.limit_key()
        return replace(
            spec,
            unique=None if uniqueness is None else uniqueness.key(parameters, args, kwargs),
            limit_key=None if limit_key is None else limit_key.key(parameters, args, kwargs),
            repeat=task.repeat,
            repeat_until=task.repeat_until,
            repeat_count=task.repeat_count,
            catch_up=task.catch_up,
        )

    def _make_id(self) -> Any:
        """Return the id of a new task; None lets the queue make one.

        Raises:
            ImproperlyConfigured: The project's function has returned something else than an id.
        """
        if self.new_id is None:
            return None
        made = self.new_id()
        if isinstance(made, UUID) or (isinstance(made, Expression) and self._returns_ids()):
            return made
        try:
            return UUID(made)
        except (AttributeError, TypeError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{self.name}['id_function'] returned {made!r}; let it return a UUID, the text of "
                "one, or, with Django 6.0 on PostgreSQL, an expression for one"
            ) from error

    def _returns_ids(self) -> bool:
        """Tell whether Django reads back what the database makes of an expression."""
        from .store import task_database

        return django.VERSION >= (6, 0) and connections[task_database()].vendor == "postgresql"

    def _find(self, result_id: str) -> Row | CompletedTask | None:
        from .store import task_database
        from .store.find import find

        try:
            uid = UUID(result_id)
        except (AttributeError, TypeError, ValueError):
            return None
        return find(task_database(), uid)

    def _holder(self, spec: TaskSpec) -> Row | CompletedTask | None:
        """Return the task that has the unique key of a call which was not stored."""
        from .store import get_store
        from .store.find import find

        store = get_store()
        text = "" if spec.unique is None else spec.unique.text
        holder = store.holders([text]).get(text)
        return None if holder is None or holder.uid is None else find(store.using, holder.uid)

    def _run(self, result: TaskResult[..., Any]) -> None:
        """Run a task that has just been stored, on the caller's thread."""
        from .store import get_store
        from .worker.single import run_and_record

        store, owner = get_store(), f"{type(self).__module__}.{type(self).__qualname__}"
        key = store.tasks.filter(uid=UUID(result.id)).values_list("pk", flat=True).first()
        claim = None if key is None else store.claim_one(key, owner[:MAX_OWNER_CHARS])
        if claim is not None:  # else a worker was faster
            run_and_record(store, claim, {})
        result.refresh()

    def _run_eagerly(self, result: TaskResult[..., Any]) -> None:
        """Do what eager mode does with a task that has just been stored."""
        from .immediate import run_eagerly
        from .store import get_store
        from .tasks import tasks

        store = get_store()
        rows = store.tasks.filter(uid=UUID(result.id))
        run_eagerly(store, rows, registry=tasks._tasks)
        result.refresh()


def _is_eager() -> bool:
    from .immediate import is_eager

    return is_eager()
