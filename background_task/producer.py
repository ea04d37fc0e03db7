"""The only road into the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from operator import attrgetter, is_
from typing import Any, NamedTuple

from django.db import IntegrityError, models, transaction
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from . import option, payload, repeat_option
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .models import Task
from .recurrence import CatchUp, RepeatLike, begin_chain, check_repeat
from .schedule import TaskSchedule
from .signals import task_created
from .store import Store, get_store
from .store.unique import add_unique, add_unique_many
from .uniqueness import UniqueKey
from .wakeup import notify_after_commit

#: How often two callers that keep undoing each other's "only one may wait" try again.
ROUNDS = 10
#: How many rows are sent at once.
BATCH_SIZE = 1000
#: Long arguments make a batch shorter: servers refuse statements of some megabytes.
BATCH_CHARS = 1_000_000
#: Told of the rows of each call, once they are stored and announced: eager mode runs them at once.
followers: list[Callable[[Store, Sequence[Task]], None]] = []
#: What goes on around the storing of rows, which may still be changed then: spans of a trace.
onlookers: list[Callable[[Sequence[Task]], AbstractContextManager[None]]] = []
#: Stands where nobody looks on.
UNSEEN: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True)
class TaskSpec:
    """Everything that one call asks for: what ``Task.objects.new_task`` makes a row of."""

    task_name: str
    args: Any = field(default=(), repr=False)
    kwargs: Any = field(default_factory=dict, repr=False)
    run_at: datetime | None = None
    priority: int = 0
    action: int = TaskSchedule.SCHEDULE
    queue: str | None = None
    verbose_name: str | None = None
    creator: models.Model | None = None
    repeat: RepeatLike = None
    repeat_until: datetime | None = None
    repeat_count: int | None = None
    catch_up: CatchUp | None = None
    remove_existing_tasks: bool = False
    #: What ``policy_option.overrides`` made of the options of this call.
    options: str | None = None
    #: What only one task may have at a time; None lets there be any number.
    unique: UniqueKey | None = None
    #: Which runs count together in a limit; None if there is no limit.
    limit_key: str | None = None
    #: The alias in ``TASKS`` of the backend that queues it; None for ``@background``.
    backend: str | None = None
    #: What it is called; None for a new name. A UUID, or the database's expression for one.
    uid: Any = None
    #: Since when, if it was known before it came here.
    enqueued_at: datetime | None = None

    @property
    def is_alone(self) -> bool:
        """Whether rows that are there already have to be seen to for this one alone."""
        is_moving = self.unique is not None and self.unique.is_moving
        return is_moving or self.remove_existing_tasks or self.action != TaskSchedule.SCHEDULE

    def called_with(
        self, args: Any, kwargs: Any, *, unique: UniqueKey | None, limit_key: str | None
    ) -> TaskSpec:
        """Return the same for another call: ``dataclasses.replace``, at a fraction of its time."""
        spec = object.__new__(TaskSpec)
        vars(spec).update(vars(self), args=args, kwargs=kwargs, unique=unique, limit_key=limit_key)
        return spec


#: What differs from call to call: the arguments, the keys made of them, and where it comes from.
OWN = ("args", "kwargs", "unique", "limit_key", "uid", "enqueued_at")
#: All of a ``TaskSpec`` that calls have in common.
OPTIONS = attrgetter(*(name for name in TaskSpec.__dataclass_fields__ if name not in OWN))


def enqueue(spec: TaskSpec, *, sender: type) -> Task | None:
    """Store a call as a row, inside the caller's transaction if there is one.

    Args:
        spec: What to store.
        sender: The sender of ``task_created``.

    Returns:
        The saved task, or None if an existing one was kept or moved instead.

    Raises:
        AlreadyScheduledError: An existing one has the call's unique key, and the call wants this.
        InvalidOptionError: An option's value cannot be stored (a ``ValueError``).
        InvalidOptionTypeError: An option or argument has the wrong type (a ``TypeError``).
    """
    store = get_store()
    task = _build(spec)
    with _in_sight([task]) if onlookers else UNSEEN:
        is_added = _add(store, task, spec)
    if not is_added:
        return None
    notify_after_commit(store.using)
    task_created.send(sender=sender, task=task)
    for follow in followers:
        follow(store, [task])
    return task


def enqueue_many(
    specs: Iterable[TaskSpec], *, sender: type, batch_size: int = BATCH_SIZE
) -> list[Task]:
    """Store many calls, all or none of them, with one statement for each batch.

    Inside the caller's transaction if there is one, else in one of their own, which begins when the
    first batch is complete. Specs are taken as they are needed, and checked before their batch is
    sent. Those that may change a waiting row are seen to one by one.

    Django's ``pre_save`` and ``post_save`` are not sent. ``task_created`` is, at the end.

    Args:
        specs: What to store.
        sender: The sender of ``task_created``.
        batch_size: How many rows are sent at once; fewer if their arguments are long.

    Returns:
        The saved tasks, in order, without those for which an existing one was kept or moved.

    Raises:
        AlreadyScheduledError: As ``enqueue``.
        InvalidOptionError: As ``enqueue``; the message begins with the item's number, from 0.
        InvalidOptionTypeError: As ``enqueue``, likewise.
    """
    if batch_size < 1:
        raise InvalidOptionError(f"batch_size {batch_size} is below 1; use a whole number from 1")
    store = get_store()
    batches = _batches(specs, batch_size=batch_size)
    first = next(batches, None)  # On SQLite no transaction may begin with what ``specs`` reads.
    if first is None:
        return []
    tasks: list[Task] = []
    replacing: dict[str, Task] = {}
    with transaction.atomic(using=store.using):
        for batch in chain([first], batches):
            with _in_sight(batch.tasks) if onlookers else UNSEEN:
                added = _add_many(store, batch)
            tasks += added
            key = None if batch.alone is None else batch.alone.unique
            if key is not None and added:
                if key.text in replacing:
                    tasks.remove(replacing[key.text])
                replacing[key.text] = added[0]
        notify_after_commit(store.using)
    if task_created.has_listeners(sender):
        for task in tasks:
            task_created.send(sender=sender, task=task)
    for follow in followers:
        follow(store, tasks)
    return tasks


class _Batch(NamedTuple):
    """Tasks to be inserted at once, with their keys; or a single one, with its spec."""

    tasks: list[Task]
    keys: list[UniqueKey | None]
    alone: TaskSpec | None = None


def _batches(specs: Iterable[TaskSpec], *, batch_size: int) -> Iterator[_Batch]:
    """Turn specs into tasks, a batch at a time."""
    mould = _Mould()
    tasks: list[Task] = []
    keys: list[UniqueKey | None] = []
    chars = 0
    for number, spec in enumerate(specs):
        try:
            task = mould.cast(spec)
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise type(error)(f"item {number}: {error}") from error
        if spec.is_alone or len(tasks) >= batch_size or chars > BATCH_CHARS:
            if tasks:
                yield _Batch(tasks, keys)
            tasks, keys, chars = [], [], 0
        if spec.is_alone:
            yield _Batch([task], [], spec)
        else:
            tasks.append(task)
            keys.append(spec.unique)
            chars += len(task.task_params)
    if tasks:
        yield _Batch(tasks, keys)


class _Mould:
    """Builds the tasks of calls that differ only in their arguments, and checks the rest once."""

    def __init__(self) -> None:
        self._options: tuple[object, ...] = ()
        self._values: dict[str, Any] = {}
        self._cache: dict[str, Any] = {}
        self._is_watched = pre_init.has_listeners(Task) or post_init.has_listeners(Task)

    def cast(self, spec: TaskSpec) -> Task:
        """Return the unsaved row of a call."""
        options = OPTIONS(spec)
        # The very same objects, not equal ones: of equal times one may be an hour later (fold).
        if self._options and all(map(is_, options, self._options)):
            return self._copy(spec)
        task = _build(spec)
        if not self._is_watched:
            self._options, self._values = options, vars(task).copy()
            self._cache = task._state.fields_cache.copy()
        return task

    def _copy(self, spec: TaskSpec) -> Task:
        """Do what ``Model.__init__`` would do, which takes ten times as long."""
        task = Task.__new__(Task)
        values = vars(task)
        values.update(self._values)
        values["_state"] = state = ModelState()
        if self._cache:
            state.fields_cache = self._cache.copy()
        values["task_params"] = params = payload.encode(spec.args, spec.kwargs)
        values["task_hash"] = payload.task_hash(spec.task_name, params)
        values["limit_key"] = spec.limit_key
        values["uid"], values["enqueued_at"] = spec.uid, spec.enqueued_at
        return task


def check_options(spec: TaskSpec, *, is_call: bool = True) -> dict[str, Any]:
    """Return what ``new_task`` takes for all options of a call.

    Args:
        spec: The call; its arguments are not looked at.
        is_call: Whether it is complete, and nothing will be added to it any more.

    Raises:
        InvalidOptionError: An option's value cannot be stored (a ``ValueError``).
        InvalidOptionTypeError: An option has the wrong type (a ``TypeError``).
    """
    creator = spec.creator
    if creator is not None and not isinstance(creator, models.Model):
        raise InvalidOptionTypeError(
            f"creator {creator!r} is not a model instance; use one or None"
        )
    if creator is not None and creator.pk is None:
        # Not its repr: the __str__ of many models fails before they are saved.
        raise InvalidOptionError(
            f"creator, a {type(creator).__name__}, has no primary key yet; save it first"
        )
    repeat, rule = check_repeat(spec.repeat, key=spec.task_name)
    run_at = option.check_moment(spec.run_at, what="run_at")
    if rule is not None:
        rule, run_at = begin_chain(rule, run_at)
    chain = {name: getattr(spec, name) for name in repeat_option.REPEAT_OPTIONS}
    options = repeat_option.begun(spec.options, **chain)
    if is_call and repeat <= 0 and rule is None:
        repeat_option.check_effect(chain)
    return {
        "task_name": option.check_name(spec.task_name),
        "run_at": run_at,
        "priority": option.check_priority(spec.priority),
        "queue": option.check_queue(spec.queue),
        "verbose_name": option.check_verbose_name(spec.verbose_name),
        "creator": creator,
        "repeat": repeat,
        "repeat_rule": None if rule is None else str(rule),
        "repeat_until": option.check_moment(spec.repeat_until, what="repeat_until"),
        "options": options,
    }


def _build(spec: TaskSpec) -> Task:
    """Return the unsaved row of a call, everything checked before the database is touched."""
    task = Task.objects.new_task(args=spec.args, kwargs=spec.kwargs, **check_options(spec))
    task.limit_key = spec.limit_key
    task.backend = spec.backend
    task.uid, task.enqueued_at = spec.uid, spec.enqueued_at
    return task


def _add(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Insert a row, unless what is there already is to be kept or moved instead."""
    if spec.unique is not None:
        return add_unique(store, task, spec.unique)
    if spec.is_alone:
        return _add_alone(store, task, spec)
    store.add(task)
    return True


@contextmanager
def _in_sight(tasks: Sequence[Task]) -> Iterator[None]:
    with ExitStack() as stack:
        for look_on in tuple(onlookers):
            stack.enter_context(look_on(tasks))
        yield


def _add_many(store: Store, batch: _Batch) -> list[Task]:
    if batch.alone is not None:
        return batch.tasks if _add(store, batch.tasks[0], batch.alone) else []
    if any(batch.keys):
        return add_unique_many(store, batch.tasks, batch.keys)
    store.add_many(batch.tasks)
    return batch.tasks


def _add_alone(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Make ``task`` the only waiting row of its call, or see to the one that is there.

    Two callers may both find no row. Then both insert, with the same unique key: the second waits
    for the first to commit, is refused by the index, and looks again. Rows added without an action
    have no key; they are found by their hash.
    """
    for round_ in range(ROUNDS):
        if _is_kept(store, task, spec):
            return False
        try:
            with transaction.atomic(using=store.using):
                if store.take_turn(task) and _is_kept(store, task, spec):
                    return False
                if _is_moved(store, task, spec):
                    notify_after_commit(store.using)
                    return False
                store.add(task)
                return True
        except IntegrityError:
            if round_ == ROUNDS - 1:
                raise
            store.free_key(task)
    return False


def _is_kept(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Tell whether CHECK_EXISTING finds a waiting row.

    Only read, and outside a transaction of ours: a lock would be held until the caller's
    transaction ends, and make all callers of the same task wait for each other.
    """
    if spec.remove_existing_tasks or spec.action != TaskSchedule.CHECK_EXISTING:
        return False
    return store.is_waiting(task.task_hash, queue=task.queue)


def _is_moved(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Delete or move the waiting rows of the same call; True if they were moved.

    Begins with a write, which takes the rows' locks: no worker claims them meanwhile.
    """
    if spec.remove_existing_tasks:
        store.remove_waiting(task.task_hash, queue=task.queue)
    elif spec.action == TaskSchedule.RESCHEDULE_EXISTING:
        waiting = store.waiting(task.task_hash, queue=task.queue)
        return store.move(waiting, run_at=task.run_at, priority=task.priority)
    return False
