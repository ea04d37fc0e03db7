"""Fixtures for every test."""

from pathlib import Path

import pytest
from django.conf import settings

from tests import emptying, servers

emptying.install()


def pytest_report_header():
    return f"database: {settings.DATABASE} ({settings.DATABASES['default']['ENGINE']})"


def pytest_collection_modifyitems(config, items):
    """Leave out what is about other databases; each of them has a run of its own."""
    others = [item for item in items if is_about_other_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def is_about_other_database(item):
    marker = item.get_closest_marker("only_on")
    return marker is not None and settings.DATABASE not in marker.args


def pytest_unconfigure():
    """Django removes the test database, but not when the run is interrupted."""
    if settings.DATABASE == "sqlite":
        name = settings.DATABASES["default"]["TEST"]["NAME"]
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)


@pytest.fixture
def database_server():
    """The throwaway server of this run, to stop, start or restart; up again afterwards."""
    server = servers.current()
    if server is None:
        pytest.skip(servers.why_not_controlled())
    yield server
    server.start()
