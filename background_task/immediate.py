"""Rows run here and now, in the caller's thread, by the ordinary road: for tests, mostly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils import timezone

from . import payload, telemetry
from .attempt import Claim
from .exceptions import TaskFailedError
from .identity import new_worker_name
from .models import CompletedTask, Task, TaskQuerySet
from .registry import Registry
from .settings import app_settings
from .store import Store, get_store
from .store.wanted import Wanted
from .worker.served import served
from .worker.single import run_and_record

#: Event -> ``Ran.status``. Each run comes to one of them.
STATUSES = {
    "success": "succeeded",
    "failure": "failed",
    "discard": "discarded",
    "cancel": "cancelled",
    "retry": "retry",
    "release": "released",
    "late": "lost",
}
WATCHED = (*STATUSES, "error")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a task.

    Attributes:
        uid: What the task is called for its whole life: ``Task.uid``.
        task_name: The name of its function.
        task_params: Its arguments, as they are stored; see ``params``.
        queue: Its queue; None is the unnamed one.
        attempt: Which attempt this was, from 1.
        at: When it was claimed, by the queue's clock.
        status: ``"succeeded"``, ``"failed"`` (for good), ``"retry"`` (it failed, and waits for
            another attempt), ``"put_off"`` (the function asked for another run), ``"discarded"``,
            ``"cancelled"``, ``"released"`` (handed back without having been run), or ``"lost"``
            (others had taken the task over, and nothing was recorded for this run).
        exception: What the function raised, if that made the attempt fail.
    """

    uid: UUID
    task_name: str
    task_params: str = field(repr=False)
    queue: str | None
    attempt: int
    at: datetime
    status: str
    exception: BaseException | None = None

    @property
    def has_failed(self) -> bool:
        """Whether this attempt has failed, for good or not."""
        return self.status in ("failed", "retry")

    def params(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the ``(args, kwargs)`` of the call; see ``Task.params``."""
        return payload.decode(self.task_params, load=False)

    @property
    def completed(self) -> CompletedTask | None:
        """The task's row in the archive, None if it has not ended; asks the database."""
        return next(iter(get_store().completed([self.uid])), None)

    @property
    def result(self) -> Any:
        """What the task has returned; as ``Task.result``, which asks the database.

        Raises:
            ResultError: There is no result; see ``Task.result`` for the reasons.
        """
        return Task(uid=self.uid, task_name=self.task_name).result

    def raise_error(self) -> None:
        """Raise what made this attempt fail, if it did.

        Raises:
            BaseException: Whatever the function raised.
            TaskFailedError: The task failed without being run: all its attempts were spent before.
        """
        if self.exception is not None:
            raise self.exception
        if self.has_failed:
            raise TaskFailedError(
                f"{self.task_name} has failed without being run: it had no attempt left"
            )


class _Witness:
    """Takes down what is told of one run."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self.status = "lost"
        self.exception: BaseException | None = None

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        claim = fields["claim"]  # a row, where code drives tasks itself
        if not isinstance(claim, Claim) or claim.uid != self._claim.uid:
            return
        if claim.number != self._claim.number:
            return
        if name == "error":
            self.exception = fields["exception"]
        else:
            self.status = "put_off" if fields.get("is_wish") else STATUSES[name]


class Immediate:
    """Runs rows one by one, here and now.

    Args:
        registry: The functions by name.
        store: The rows. What is done to them is done at its ``now``, unless told otherwise.
    """

    def __init__(self, registry: Registry, *, store: Store | None = None) -> None:
        self.registry = registry
        self.store = get_store() if store is None else store

    @cached_property
    def owner(self) -> str:
        """The name under which rows are claimed here."""
        return new_worker_name()

    def runnable(self) -> TaskQuerySet:
        """Return the rows that may be run, now or later, in the order in which they run.

        Not those that are paused, nor those whose function this process does not know.
        """
        paused = self.store.pauses.read()
        rows = self.store.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
        wanted = Wanted(list(self.registry), served(None)).without(paused.functions)
        rows = wanted.among(paused.leave_out(rows))
        return rows.order_by(f"{self.store.order}priority", "run_at", "pk")

    def run_row(self, pk: int, *, now: datetime | None = None) -> Ran | None:
        """Claim a row and run it; None if it is gone, or somebody has it, or nothing can run it."""
        claim = self.store.claim_one(pk, self.owner, now=now)
        ran = None if claim is None else self.run(claim, now=now)
        return None if ran is None or ran.status == "released" else ran

    def run(self, claim: Claim, *, now: datetime | None = None) -> Ran:
        """Run a claimed row and record what becomes of it."""
        witness = _Witness(claim)
        with telemetry.subscribed(witness, to=WATCHED):
            run_and_record(self.store, claim, self.registry, now=now)
        return Ran(
            uid=claim.uid,
            task_name=claim.task_name,
            task_params=claim.task_params,
            queue=claim.queue,
            attempt=claim.attempt,
            at=claim.locked_at or self.store.now(),
            status=witness.status,
            exception=witness.exception,
        )


def present(store: Store) -> datetime:
    """Return the time at which everything is due that was queued before this.

    Rows get their time from this process, and are due by the database's clock.
    """
    return max(store.now(), timezone.now())


# -- eager mode ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """Whether a call is run at once.

    Attributes:
        is_eager: Whether it is.
        raises: Whether what it raises is raised where it was called.
    """

    is_eager: bool
    raises: bool = True


BY_SETTING, LATER = Mode(is_eager=True), Mode(is_eager=False)
#: What tests have asked for; the last one counts. Of the process and not of a thread, because a
#: test of a site has the site's code run on threads of its own.
_modes: list[Mode] = []


def enter(mode: Mode) -> None:
    """Begin a mode."""
    _modes.append(mode)


def leave(mode: Mode) -> None:
    """End a mode; one that was begun twice goes on until it is ended twice."""
    del _modes[len(_modes) - 1 - _modes[::-1].index(mode)]


def is_eager() -> bool:
    """Tell whether calls are run at once now."""
    return _mode().is_eager


def _mode() -> Mode:
    if _modes:
        return _modes[-1]
    return BY_SETTING if app_settings.BACKGROUND_TASK_EAGER else LATER


def runs_at_once(registry: Registry) -> Callable[[Store, Sequence[Task]], None]:
    """Return what runs new rows of ``@background`` in eager mode; for ``producer.followers``.

    A backend does so with its own, after it has told that they are queued.
    """

    def follow(store: Store, rows: Collection[Task]) -> None:
        if is_eager():
            run_eagerly(store, (row for row in rows if row.backend is None), registry=registry)

    return follow


def run_eagerly(store: Store, rows: Iterable[Task], *, registry: Registry) -> None:
    """Run rows that have just been stored, but for what is paused or scheduled for later.

    Raises:
        BaseException: What a task has raised, if the mode wants that.
    """
    here, raises = Immediate(registry, store=store), _mode().raises
    for row in rows:
        now = present(store)
        if row.run_at > now or not here.runnable().filter(pk=row.pk).exists():
            continue
        ran = here.run_row(row.pk, now=now)
        if ran is not None and raises and ran.has_failed:
            ran.raise_error()
