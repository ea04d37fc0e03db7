"""A worker inside a process that does something else: in a thread, a test, a notebook.

It is the very worker of ``process_tasks``, without a process of its own: signals stay the
program's, and time limits reach its tasks as those of threads.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any

from . import telemetry
from .current import current_task
from .exceptions import BackgroundTaskError, InvalidOptionError, duration_of
from .identity import label_of
from .models import CompletedTask, Task
from .option import check_queue, check_whole, check_worker_id
from .settings import app_settings
from .store import get_store
from .tasks import autodiscover, tasks
from .worker import Control, Loop, Options, Summary
from .worker.drain import Drain
from .worker.hygiene import close_connections, is_in_memory

logger = logging.getLogger(__name__)

#: Between two looks at a task that another worker may be running, in seconds.
LOOK_SECONDS = 0.5
#: Why a runner ends that Ctrl-C has stopped.
CTRL_C = "Ctrl-C"
#: What an end of a task is told by.
ENDS = ("success", "failure", "discard", "cancel")


class Runner:
    """Runs due tasks in this process until it is stopped.

    In a thread of its own, within a ``with`` block or from ``start`` to ``stop``::

        with Runner(workers=2) as runner:
            send_mail("ada@example.com")
            runner.wait(timeout=10)

    or in the thread that calls ``run``. An instance runs once.

    Where a database is SQLite in memory, no other thread can use it, and inside a transaction, as
    in a ``TestCase``, none sees its rows. There use ``Runner(None, is_batch=True).run()``: that
    drains the queue in the caller's own thread.

    Args:
        workers: How many tasks to run at once, on threads; None runs them one after another in the
            runner's own thread.
        worker_id: What its name is to begin with; no other living worker may have it.
        queues: The queues to serve; none means all.
        exclude_queues: The queues to leave to others, if it serves all.
        loop_delay: The longest pause between two looks at an idle queue, in seconds.
        init_periodic: Whether it puts the ticks of periodic tasks into the queue.
        is_batch: Whether it ends when nothing is left to do.
        shutdown_timeout: How long running tasks may go on after ``stop``, in seconds; None follows
            the settings.
        using: The alias of the database; None lets the project's routers decide.

    Raises:
        InvalidOptionError: A value that cannot work.
    """

    def __init__(
        self,
        workers: int | None = 4,
        *,
        worker_id: str | None = None,
        queues: Sequence[str] = (),
        exclude_queues: Sequence[str] = (),
        loop_delay: float = 1.0,
        init_periodic: bool = True,
        is_batch: bool = False,
        shutdown_timeout: float | None = None,
        using: str | None = None,
    ) -> None:
        self._using = using
        options = _options(
            workers=workers,
            worker_id=worker_id,
            queues=queues,
            exclude_queues=exclude_queues,
            loop_delay=loop_delay,
            shutdown_timeout=shutdown_timeout,
        )
        self._options = replace(options, is_batch=is_batch, is_ticking=init_periodic)
        self._drain = Drain()
        #: Its orders, once it has begun.
        self._control: Control | None = None
        #: Set once it has looked at the queue for the first time.
        self.ready = self._drain.ready
        #: Set while nothing is due and nothing runs, as far as it has seen.
        self.empty = self._drain.empty
        #: Set when it has ended.
        self.finished = threading.Event()
        self._summary: Summary | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        #: Two rivals: one thread begins while another one stops, which must not get lost.
        self._lock = threading.Lock()

    # -- life -----------------------------------------------------------------------------------

    def run(self) -> Summary:
        """Work in this thread until ``stop`` is called from another one; return what was done.

        Ctrl-C ends it in order, too, where nobody else handles it: a KeyboardInterrupt is raised
        at the end. A second one interrupts what runs.

        Raises:
            BackgroundTaskError: It has run before, or this thread cannot use the database.
            DuplicateWorkerError: A living worker has the id.
        """
        control = self._begin(is_apart=threading.current_thread() is not threading.main_thread())
        with _stopped_by_ctrl_c(control, within=self._options.shutdown):
            return self._work(control)

    def start(self) -> None:
        """Work in a thread of its own.

        Raises:
            BackgroundTaskError: It has run before, or other threads cannot see what this one has
                saved.
        """
        control = self._begin(is_apart=True)
        thread = threading.Thread(
            target=self._work_apart, args=(control,), name="background_task runner", daemon=True
        )
        thread.start()
        self._thread = thread

    def stop(self, timeout: float | None = None) -> bool:
        """Take no more tasks, let running ones finish, and wait for that.

        From a task of its own it only stops: it cannot wait for itself.

        Args:
            timeout: How long to wait for the end, in seconds; None until it comes.

        Returns:
            Whether it has ended.
        """
        with self._lock:
            if self._control is None:  # then it never begins
                self._end()
            else:
                self._control.stop("Runner.stop", within=self._options.shutdown, is_order=False)
        if self._thread is not None and current_task() is None:
            self._thread.join(timeout)
        return self.finished.is_set()

    def __enter__(self) -> Runner:
        """Begin."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; what ended the runner itself is raised here, unless the block has raised."""
        self.stop()
        if error is None:
            self._raise_error()

    # -- what it does ---------------------------------------------------------------------------

    @property
    def processed(self) -> int:
        """How many runs it has brought to an end."""
        return 0 if self._summary is None else self._summary.processed

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is due and nothing runs, as seen by a look that begins now.

        What is scheduled for later, is paused or belongs to other queues is not waited for.

        Args:
            timeout: The most seconds to wait; None for ever.

        Returns:
            Whether it came to that: False, too, if the runner has ended before.
        """
        is_empty = self._drain.wait(timeout, wake=self._wake)
        self._raise_error()
        return is_empty

    def wait_for(self, task: Any, timeout: float | None = None) -> bool:
        """Wait until a task has finished, whoever runs it.

        Args:
            task: What a call has returned, or a result of ``django.tasks``, which is refreshed.
            timeout: The most seconds to wait; None for ever.

        Returns:
            Whether it has finished: False, too, if the runner has ended before.
        """
        uid = str(task.uid if isinstance(task, Task | CompletedTask) else task.id)
        changed = threading.Event()

        def listen(name: str, fields: Mapping[str, Any]) -> None:
            if str(fields["claim"].uid) == uid:
                changed.set()

        until = math.inf if timeout is None else time.monotonic() + timeout
        with telemetry.subscribed(listen, to=ENDS):
            # Only now: it could have ended between a look and the beginning of listening.
            while not (is_finished := _is_finished(task)):
                left = until - time.monotonic()
                if left <= 0 or self.finished.is_set():
                    break
                changed.wait(min(left, LOOK_SECONDS))
                changed.clear()
        self._raise_error()
        return is_finished

    # -- internals ------------------------------------------------------------------------------

    def _begin(self, *, is_apart: bool) -> Control:
        """Make sure that the thread that is going to work can, and return its orders.

        Args:
            is_apart: Whether it may be another one than the one whose connection has the tables.
        """
        store = get_store(self._using)
        if is_in_memory(store.using) and (is_apart or self._options.threads is not None):
            raise BackgroundTaskError(
                f"the database {store.using!r} is SQLite in memory, which other threads cannot "
                "share; use a file, or Runner(None, is_batch=True).run() in the main thread"
            )
        if is_apart and store.in_transaction():
            raise BackgroundTaskError(
                "no other thread sees the rows of this transaction (a TestCase is one); begin "
                "after its end (in a TransactionTestCase), or call "
                "Runner(None, is_batch=True).run() in here"
            )
        with self._lock:
            if self._control is not None or self.finished.is_set():
                raise BackgroundTaskError(
                    "this Runner has begun already, or was stopped; each runs once: make another"
                )
            self._control = Control(self._drain)
            return self._control

    def _work(self, control: Control) -> Summary:
        try:
            autodiscover()
            loop = Loop(
                tasks._tasks,
                store=get_store(self._using),
                control=control,
                options=self._options,
            )
            self._summary = loop.summary
            return loop.run()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._end()
            control.polling.close()

    def _end(self) -> None:
        self.finished.set()
        self._drain.close()

    def _wake(self) -> None:
        if self._control is not None:
            self._control.polling.wake()

    def _work_apart(self, control: Control) -> None:
        try:
            self._work(control)
        except Exception:
            # For whoever waits, too; but nobody may ever do so.
            logger.exception("The runner has ended by an error")
        finally:
            close_connections()

    def _raise_error(self) -> None:
        if self._thread is not None and self._error is not None:
            raise self._error


@contextmanager
def _stopped_by_ctrl_c(control: Control, *, within: float) -> Iterator[None]:
    """Turn Ctrl-C into an order, as in a task it would be taken for an error of that task."""
    usual = signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: control.stop(CTRL_C, within=within))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if control.reason == CTRL_C:
        raise KeyboardInterrupt


def _is_finished(task: Any) -> bool:
    """Ask the database how a task stands; a result is refreshed."""
    if isinstance(task, Task | CompletedTask):
        return task.status not in ("waiting", "running")
    task.refresh()
    return bool(task.is_finished)


def _options(
    *,
    workers: int | None,
    worker_id: str | None,
    queues: Sequence[str],
    exclude_queues: Sequence[str],
    loop_delay: float,
    shutdown_timeout: float | None,
) -> Options:
    if workers is not None and check_whole(workers, what="workers") < 1:
        raise InvalidOptionError(f"workers {workers} would run nothing; use 1 or more, or None")
    names = [[check_queue(name) or "" for name in given] for given in (queues, exclude_queues)]
    if all(names):
        raise InvalidOptionError(
            f"exclude_queues {names[1]} beside queues {names[0]}: a worker of named queues leaves "
            "all others out; use one of them"
        )
    shutdown: float = app_settings.BACKGROUND_TASK_SHUTDOWN_SECONDS
    if shutdown_timeout is not None:
        shutdown = _seconds(shutdown_timeout, what="shutdown_timeout")
    return Options(
        queues=names[0],
        excluded=names[1],
        sleep=_seconds(loop_delay, what="loop_delay"),
        threads=workers,
        lease=timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS),
        shutdown=shutdown,
        label=None if worker_id is None else label_of(check_worker_id(worker_id)),
    )


def _seconds(value: Any, *, what: str) -> float:
    seconds = duration_of(value, what=what).total_seconds()
    if seconds < 0:
        raise InvalidOptionError(f"{what} {value!r} is below 0; use 0 or more seconds")
    return seconds
