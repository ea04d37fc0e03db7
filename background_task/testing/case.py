"""A test case with a worker beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from django.test import TransactionTestCase

from ..embedded import Runner

#: A task that has not ended by then, in seconds, keeps the test from ending.
LONGEST_STOP = 30.0
#: What is different from other runners, so that a test goes fast and only its own tasks are run.
OPTIONS: Mapping[str, Any] = {
    "workers": None,
    "loop_delay": 0.2,
    "shutdown_timeout": 10.0,
    "init_periodic": False,
}


class RunnerTestCase(TransactionTestCase):
    """Has a ``Runner`` beside it, on a thread of this process, which lives as long as the test.

    ``self.runner.wait()`` waits until nothing is due and nothing runs any more,
    ``self.runner.wait_for(task)`` until that task has ended. Both return whether that came within
    the timeout, if there is one. Periodic tasks are not put into the queue.

    Attributes:
        runner_options: What is different with the runner: ``{"workers": 4}`` for four tasks at a
            time, ``{"queues": ["mail"]}`` for these queues only; see ``Runner``.
    """

    runner_options: ClassVar[Mapping[str, Any]] = {}
    runner: Runner

    def setUp(self) -> None:
        """Start the runner."""
        super().setUp()
        stack = ExitStack()
        self.runner = stack.enter_context(runner_beside(**self.runner_options))
        self.addCleanup(stack.close)  # before the tables are emptied


@contextmanager
def runner_beside(**options: Any) -> Iterator[Runner]:
    """Let a runner work in a thread of its own within a ``with`` block.

    Args:
        **options: Those of ``Runner`` that are different.

    Raises:
        AssertionError: At the end of the block a task does not come to its end.
        BackgroundTaskError: No other thread could see the rows of this test.
    """
    runner = Runner(**{**OPTIONS, **options})
    runner.start()
    try:
        yield runner
    finally:
        has_ended = runner.stop(LONGEST_STOP)
    if not has_ended:
        raise AssertionError(
            f"the runner of the test did not end within {LONGEST_STOP:g} s: a task still runs"
        )
    runner.raise_error()
