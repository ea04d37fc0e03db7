"""For the tests of projects that use this library: run tasks, look at the queue, let things fail.

Nothing here is meant for a running site.
"""

from __future__ import annotations

from ..immediate import Ran
from .case import RunnerTestCase
from .drain import DrainLimitError, drain, run_due
from .eager import eager
from .expectation import (
    assert_enqueued,
    assert_enqueues,
    assert_enqueues_nothing,
    assert_not_enqueued,
)
from .fault import Fault, killed_at_each_commit, killed_at_each_statement, lost_lease, run_twice
from .selection import ANY

__all__ = [
    "ANY",
    "DrainLimitError",
    "Fault",
    "Ran",
    "RunnerTestCase",
    "assert_enqueued",
    "assert_enqueues",
    "assert_enqueues_nothing",
    "assert_not_enqueued",
    "drain",
    "eager",
    "killed_at_each_commit",
    "killed_at_each_statement",
    "lost_lease",
    "run_due",
    "run_twice",
]
