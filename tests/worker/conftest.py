"""Fixtures of the tests of the worker."""

import pytest

from background_task.tasks import Tasks, tasks


@pytest.fixture(params=[None, 2], ids=["inline", "threads"])
def threads(request):
    """Tasks one after another in the worker's own thread, and on two of their own."""
    return request.param


@pytest.fixture
def registry():
    """The registered functions; what a test registers is forgotten after it."""
    before = dict(tasks._tasks)
    yield tasks
    tasks._tasks.clear()
    tasks._tasks.update(before)


@pytest.fixture
def calls(registry):
    """A task ``noted`` and the list of the arguments with which it was run."""
    return Calls(registry)


class Calls(list):
    def __init__(self, registry: Tasks):
        super().__init__()
        self.proxy = registry.background(name="noted")(self._note)

    def _note(self, *args):
        self.append(args[0] if len(args) == 1 else args)
