"""Tasks that are run by the tests themselves."""

import pytest

from background_task import telemetry
from background_task.store import get_store
from tests.worker.conftest import registry

__all__ = ["registry"]  # a fixture

OUTSIDE = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(db):
    return get_store()


@pytest.fixture
def run(registry):
    """Decorate a function, call it, and run what is due; return the task as it was stored."""

    def run(function, *args, **options):
        proxy = registry.background(name=f"results.{function.__name__}", **options)(function)
        task = proxy(*args)
        assert registry.run_next_task()
        return task

    return run


@pytest.fixture
def events():
    """What telemetry was told: ``(name, fields)``."""
    heard = []

    def hear(name, fields):
        heard.append((name, fields))

    with telemetry.subscribed(hear):
        yield heard
