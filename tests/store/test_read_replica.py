"""An instance that was read from a replica is written where the router says."""

import sys

import pytest
from django.db import connection

from tests.process import running

pytestmark = pytest.mark.django_db(transaction=True)

DEEDS = (
    "run_task",
    "run_next_task",
    "raise_priority",
    "fail_and_reschedule",
    "lock",
    "repeat",
    "archive",
    "queue_by_a_backend",
)


def databases():
    keys = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD", "OPTIONS")
    default = {key: connection.settings_dict[key] for key in keys}
    replica = {**default, "OPTIONS": {**default["OPTIONS"], **read_only()}}
    if connection.vendor == "sqlite":
        replica["NAME"] = f"file:{default['NAME']}?mode=ro"
    return {"default": default, "replica": replica}


def read_only():
    return {
        "sqlite": {"uri": True},
        "postgresql": {"options": "-c default_transaction_read_only=on"},
        "mysql": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
    }[connection.vendor]


@pytest.mark.parametrize("deed", DEEDS)
def test_writes_go_where_the_router_says(deed):
    settings = {
        "DATABASES": databases(),
        "DATABASE_ROUTERS": ["tests.store.on_replica.Router"],
    }
    command = (sys.executable, "-m", "tests.store.on_replica", deed)
    with running(*command, settings=settings) as process:
        assert process.wait() == 0, process.output
    assert process.lines[-1] == "done"
