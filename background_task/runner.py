"""Scheduling rows and running them one at a time, from code rather than from a worker."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol

from django.db import Error, models, router

from . import producer, signals, telemetry
from .attempt import Claim
from .exceptions import BackgroundTaskError
from .identity import new_worker_name
from .models import Task
from .producer import TaskSpec
from .recurrence import CatchUp, RepeatLike
from .schedule import TaskSchedule
from .settings import app_settings
from .store import Store, get_store, is_outage
from .uniqueness import UniqueKey
from .worker.hygiene import close_connections, orderly
from .worker.run import call
from .worker.single import claim_next, run_and_record


class Proxy(Protocol):
    """What is needed of a ``TaskProxy``."""

    name: str
    queue: str | None
    task_function: Callable[..., Any]
    runner: DBTaskRunner


class TaskRegistry(Protocol):
    """What is needed of ``Tasks``."""

    _tasks: dict[str, Any]

    def run_task(self, task_name: Task | str, args: Any = None, kwargs: Any = None) -> None:
        """Run a row."""
        ...


class DBTaskRunner:
    """Stores calls as rows, and runs rows one at a time, from code and in tests."""

    def __init__(self) -> None:
        self._worker_name = ""

    @property
    def worker_name(self) -> str:
        """The owner under which this process claims rows; another one after a fork."""
        if f":{os.getpid()}:" not in self._worker_name:
            self._worker_name = new_worker_name()
        return self._worker_name

    def schedule(
        self,
        task_name: str,
        args: Any,
        kwargs: Any,
        run_at: datetime | None = None,
        priority: int = 0,
        action: int = TaskSchedule.SCHEDULE,
        queue: str | None = None,
        verbose_name: str | None = None,
        creator: models.Model | None = None,
        repeat: RepeatLike = None,
        repeat_until: datetime | None = None,
        remove_existing_tasks: bool = False,
        options: str | None = None,
        unique: UniqueKey | None = None,
        limit_key: str | None = None,
        repeat_count: int | None = None,
        catch_up: CatchUp | None = None,
    ) -> Task | None:
        """Store a call. See ``TaskProxy.__call__``; ``action`` is one of ``TaskSchedule``'s.

        Of ``options`` see ``policy.overrides``, of ``unique`` see ``Uniqueness.key``, of
        ``limit_key`` see ``LimitKey.key``, of the last two see ``TaskProxy.using``.
        """
        spec = TaskSpec(
            task_name=task_name,
            args=args,
            kwargs=kwargs,
            run_at=run_at,
            priority=priority,
            action=action,
            queue=queue,
            verbose_name=verbose_name,
            creator=creator,
            repeat=repeat,
            repeat_until=repeat_until,
            remove_existing_tasks=remove_existing_tasks,
            options=options,
            unique=unique,
            limit_key=limit_key,
            repeat_count=repeat_count,
            catch_up=catch_up,
        )
        return producer.enqueue(spec, sender=self.__class__)

    def get_task_to_run(self, tasks: TaskRegistry, queue: str | None = None) -> Task | None:
        """Claim the first due row that ``tasks`` knows, and return it; None if there is none."""
        store = get_store()
        queues = (queue,) if queue else ()
        try:
            claim = claim_next(store, self.worker_name, tasks._tasks, queues=queues)
            task = None if claim is None else store.task_of(claim)
        except Error as error:
            if not is_outage(error):
                raise
            telemetry.event("unreachable", exception=error)
            return None
        if task is not None:
            task.is_claimed_here = True
        return task

    def run_task(self, tasks: TaskRegistry, task: Task) -> None:
        """Run a row that ``get_task_to_run`` returned."""
        tasks.run_task(task)

    def run_next_task(self, tasks: TaskRegistry, queue: str | None = None) -> bool:
        """Run the first due row; False if there was none."""
        task = self.get_task_to_run(tasks, queue)
        if task is None:
            return False
        self.run_task(tasks, task)
        return True


class PoolRunner:
    """Runs tasks on a pool of threads, which is made at the first use and joined at exit.

    Args:
        bg_runner: Called as ``bg_runner(proxy, task, *args, **kwargs)``.
        num_processes: How many threads; None follows the settings.
    """

    def __init__(self, bg_runner: Callable[..., None], num_processes: int | None = None) -> None:
        self._bg_runner = bg_runner
        self._num_processes = num_processes
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0
        self._lock = threading.Lock()

    def run(
        self, proxy_task: Proxy, task: Task | None = None, /, *args: Any, **kwargs: Any
    ) -> None:
        """Hand the task to the pool and return; if all threads are busy, when one is free."""
        with self._lock:
            size = self._num_processes or app_settings.BACKGROUND_TASK_ASYNC_THREADS
            if self._pool is None or size != self._size:
                if self._pool is not None:
                    self._pool.shutdown(wait=False)  # finishes what it was given
                self._pool = ThreadPoolExecutor(size, thread_name_prefix="background_task pool")
                self._size = size
                self._free = threading.BoundedSemaphore(size)
            pool, free = self._pool, self._free
        free.acquire()  # rows are claimed one by one, as threads become free
        pool.submit(self._work, free, proxy_task, task, args, kwargs)

    __call__ = run

    def _work(
        self,
        free: threading.BoundedSemaphore,
        proxy_task: Proxy,
        task: Task | None,
        args: Any,
        kwargs: Any,
    ) -> None:
        try:
            self._bg_runner(proxy_task, task, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - told, never lost in a thread
            telemetry.event("broken", proxy=proxy_task, exception=error)
        finally:
            close_connections()
            free.release()


def bg_runner(proxy_task: Proxy, task: Task | None = None, /, *args: Any, **kwargs: Any) -> None:
    """Run a task here and now, and record what becomes of it.

    With a row, its own arguments count. Without one, a free and due row of exactly this call is
    looked up and claimed; if there is none, the function is just called.
    """
    store = get_store(router.db_for_write(Task, instance=task))
    name = proxy_task.runner.worker_name
    if task is None:
        claim = _claim_call(proxy_task, args, kwargs, store=store, owner=name)
        if claim is None:
            _run_without_row(proxy_task, args, kwargs)
            return
    else:
        claim = _claim_row(task, store=store, owner=name)
        if claim is None:
            telemetry.event("not_ours", task=task)
            return
    run_and_record(store, claim, {claim.task_name: proxy_task})


def _claim_row(task: Task, *, store: Store, owner: str) -> Claim | None:
    """Return the claim that the caller already has by ``task.lock()``, or a new one."""
    if task._state.adding:
        store.add(task)
    if task.is_claimed_here and task.locked_by:
        for claim in store.held_by(task.locked_by):
            if claim.task_id == task.pk and claim.number == (task.claim_number or 0):
                return claim
    return store.claim_one(task.pk, owner)


def _claim_call(
    proxy_task: Proxy, args: Any, kwargs: Any, *, store: Store, owner: str
) -> Claim | None:
    rows = store.tasks.find_available(proxy_task.queue)
    hashes = Task.objects.get_task(proxy_task.name, args, kwargs).values("task_hash")
    pk = rows.filter(task_hash__in=hashes).values_list("pk", flat=True).first()
    return None if pk is None else store.claim_one(pk, owner)


def _run_without_row(proxy_task: Proxy, args: Any, kwargs: Any) -> None:
    if proxy_task.task_function is None:
        raise BackgroundTaskError(f"{proxy_task} has no function; register one with @background")
    signals.announce(signals.task_started, sender=Task)
    try:
        with orderly():
            call(proxy_task.task_function, args, kwargs)
    except Exception as error:  # noqa: BLE001 - user code
        telemetry.event("error_without_row", proxy=proxy_task, exception=error)
    finally:
        signals.announce(signals.task_finished, sender=Task)
