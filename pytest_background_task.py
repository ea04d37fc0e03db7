"""A plugin for pytest: the test kit of background_task as fixtures.

Until a test asks for one of them, nothing is imported. They need pytest-django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from background_task import Runner
    from background_task.testing import Ran


@pytest.fixture
def background_task_drain(db: None) -> Callable[..., list[Ran]]:
    """Return ``background_task.testing.drain``, which runs what is due."""
    from background_task.testing import drain

    return drain


@pytest.fixture
def background_task_eager(db: None) -> Iterator[None]:
    """Run each call of a task function at once, for the time of the test."""
    from background_task.testing import eager

    with eager():
        yield


@pytest.fixture
def background_task_runner(transactional_db: None) -> Iterator[Runner]:
    """Return a ``Runner`` on a thread of its own, for the time of the test."""
    from background_task.testing.case import runner_beside

    with runner_beside() as runner:
        yield runner


@pytest.fixture
def background_task_faults(transactional_db: None) -> ModuleType:
    """Return ``background_task.testing``, in a test in which a worker can die at a commit."""
    from background_task import testing

    return testing
