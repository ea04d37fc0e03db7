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
from types import TracebackType
from typing import Any

from . import telemetry
from .current import current_task
from .exceptions import BackgroundTaskError
from .immediate import present
from .models import CompletedTask, Task
from .store import get_store
from .tasks import autodiscover, tasks
from .worker import Control, Loop, Summary
from .worker.asked import options_of
from .worker.drain import Drain
from .worker.hygiene import close_connections, is_in_memory
from .worker.part import wanted_by

logger = logging.getLogger(__name__)

#: Between two looks at a task that another worker may be running, in seconds.
LOOK_SECONDS = 0.5
#: Between two looks at the queue, the first of which has passed over a row.
AGAIN_SECONDS = 0.05
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
        backend: The alias in ``TASKS``, or several, whose tasks it runs, and then no others; None
            for those of all our backends, and of ``@background``.
        loop_delay: The longest pause between two looks at an idle queue, in seconds.
        init_periodic: Whether it puts the ticks of periodic tasks into the queue.
        is_batch: Whether it ends when nothing is left to do.
        shutdown_timeout: How long running tasks may go on after ``stop``, in seconds; None follows
            the settings.
        using: The alias of the database; None lets the project's routers decide.

    Raises:
        InvalidOptionError: A value that cannot work.
        ImproperlyConfigured: A backend is not ours, or runs its tasks at once.
    """

    def __init__(
        self,
        workers: int | None = 4,
        *,
        worker_id: str | None = None,
        queues: Sequence[str] = (),
        exclude_queues: Sequence[str] = (),
        backend: str | Sequence[str] | None = None,
        loop_delay: float = 1.0,
        init_periodic: bool = True,
        is_batch: bool = False,
        shutdown_timeout: float | None = None,
        using: str | None = None,
    ) -> None:
        self._using = using
        options = options_of(
            workers=workers,
            worker_id=worker_id,
            queues=queues,
            exclude_queues=exclude_queues,
            backend=backend,
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
        self._loop: Loop | None = None
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
            self.raise_error()

    # -- what it does ---------------------------------------------------------------------------

    @property
    def processed(self) -> int:
        """How many runs it has brought to an end."""
        return 0 if self._loop is None else self._loop.summary.processed

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is due and nothing runs, as seen by a look that begins now.

        What is scheduled for later, is paused or belongs to other queues is not waited for.

        Args:
            timeout: The most seconds to wait; None for ever.

        Returns:
            Whether it came to that: False, too, if the runner has ended before.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        left = timeout
        while is_empty := self._drain.wait(left, wake=self._wake):
            if not self._has_passed_over():
                break
            self.finished.wait(AGAIN_SECONDS)
            left = None if timeout is None else until - time.monotonic()
        self.raise_error()
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
        self.raise_error()
        return is_finished

    @property
    def shutdown_seconds(self) -> float:
        """How long running tasks may go on after ``stop``."""
        return self._options.shutdown

    def raise_error(self) -> None:
        """Raise what has ended the runner in its own thread, if anything has."""
        if self._thread is not None and self._error is not None:
            raise self._error

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
                "share; use a file (for tests DATABASES[...]['TEST'] = {'NAME': ...}), or "
                "Runner(None, is_batch=True).run() in the main thread"
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
            self._loop = loop
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

    def _has_passed_over(self) -> bool:
        """Tell whether a look that found nothing has passed over a row that is due.

        Two rivals: the look, and a transaction that had locked the row at that moment. And rows
        have their times from this process, whose clock may be ahead of the database's.
        """
        assert self._loop is not None  # which has looked
        store, (names, backends) = self._loop.store, wanted_by(self._loop.parts)
        due = store.look(names, backends=backends, queues=self._options.queues, now=present(store))
        return due.is_ready

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
