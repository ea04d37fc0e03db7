"""A test case with a worker beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.test import TransactionTestCase

from ..exceptions import BackgroundTaskError
from ..models import TaskQuerySet
from ..settings import app_settings
from ..store import get_store
from ..tasks import tasks
from ..worker import Control, Loop, Options
from ..worker.hygiene import is_in_memory

#: Between two looks at what one waits for.
LOOK_SECONDS = 0.02
#: A task that has not ended by then keeps the test from ending.
STOP_SECONDS = 30.0
OPTIONS = {"sleep": 0.2, "shutdown": 10.0, "is_ticking": False}


class RunnerTestCase(TransactionTestCase):
    """Has a worker on a thread of this process, which lives as long as the test.

    ``self.runner.wait()`` waits until nothing is due and nothing runs any more,
    ``self.runner.wait_for(task)`` until that task has ended. Both return whether that came within
    the timeout, if there is one. Periodic tasks are not put into the queue.

    Attributes:
        runner_options: What is different with the worker: ``{"threads": 4}`` for four tasks at a
            time, ``{"queues": ("mail",)}`` for these queues only; see ``worker.Options``.
    """

    runner_options: ClassVar[Mapping[str, Any]] = {}
    runner: WorkerThread

    def setUp(self) -> None:
        """Start the worker."""
        super().setUp()
        self.runner = WorkerThread(**self.runner_options)
        self.runner.start()
        self.addCleanup(self.runner.stop)  # before the tables are emptied


class WorkerThread:
    """A worker on a thread.

    Args:
        **options: Its ``worker.Options``.

    Raises:
        BackgroundTaskError: No thread could see the rows of this test.
    """

    def __init__(self, **options: Any) -> None:
        self._store = get_store()
        if self._store.in_transaction() or is_in_memory(self._store.using):
            raise BackgroundTaskError(
                "a worker on another thread sees neither what a TestCase has not committed nor, "
                "reliably, a SQLite database in memory; use RunnerTestCase or another "
                "TransactionTestCase, and a file: DATABASES['default']['TEST'] = {'NAME': ...}"
            )
        lease = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
        self._options = Options(**{**OPTIONS, "lease": lease, **options})
        self._control = Control()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="worker of the test", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what it is doing, and end.

        Raises:
            AssertionError: A task does not come to an end.
        """
        self._control.stop("the test is over", within=self._options.shutdown)
        self._thread.join(timeout=STOP_SECONDS)
        if self._thread.is_alive():
            raise AssertionError(
                f"the worker of the test did not end within {STOP_SECONDS:g} s: a task still runs"
            )
        self._control.polling.close()
        if self._error is not None:
            raise self._error

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is due and nothing runs; return whether that came in time.

        Args:
            timeout: Seconds; None waits for as long as the worker lives.
        """

        def is_empty() -> bool:
            busy = Q(run_at__lte=self._store.now()) | Q(locked_by__isnull=False)
            return not self._live().filter(busy).exists()

        return self._wait_until(is_empty, timeout)

    def wait_for(self, task: Any, timeout: float | None = None) -> bool:
        """Wait until a task has ended, for good; return whether that came in time.

        Args:
            task: What calling a task function returned.
            timeout: Seconds; None waits for as long as the worker lives.
        """
        uid = getattr(task, "uid", None) or UUID(task.id)

        def has_ended() -> bool:
            return not self._live().filter(uid=uid).exists()

        return self._wait_until(has_ended, timeout)

    def _live(self) -> TaskQuerySet:
        return self._store.tasks.filter(failed_at__isnull=True)

    def _wait_until(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        pause = threading.Event()
        while True:
            is_last = end is not None and time.monotonic() >= end
            if is_done():
                return True
            if self._error is not None:
                raise self._error
            if is_last or not self._thread.is_alive():
                return False
            pause.wait(LOOK_SECONDS)

    def _serve(self) -> None:
        try:
            loop = Loop(
                tasks._tasks, store=get_store(), control=self._control, options=self._options
            )
            loop.run()
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            self._error = error
        finally:
            connections.close_all()
