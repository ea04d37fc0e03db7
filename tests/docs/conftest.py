"""What the pages of the documentation change is put back after each."""

import pytest
from django.contrib import admin

from background_task import signals
from background_task.tasks import tasks

SIGNALS = {
    name: value
    for name, value in vars(signals).items()
    if isinstance(value, signals.Signal) and name.startswith("task_")
}


@pytest.fixture(autouse=True)
def restored():
    """Forget the tasks, the signal receivers and the admin classes that a page adds."""
    registered = dict(tasks._tasks)
    admins = dict(admin.site._registry)
    receivers = {name: list(signal.receivers) for name, signal in SIGNALS.items()}
    yield
    tasks._tasks.clear()
    tasks._tasks.update(registered)
    admin.site._registry.clear()
    admin.site._registry.update(admins)
    for name, signal in SIGNALS.items():
        with signal.lock:
            signal.receivers = receivers[name]
            signal.sender_receivers_cache.clear()
