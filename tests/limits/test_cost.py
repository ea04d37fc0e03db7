"""What a gate costs depends on the rows it moves, not on how many wait at it."""

from datetime import timedelta

import pytest
from django.db import connection

from background_task.limiter import hashed
from background_task.models import Gate, Task
from background_task.store.gate import ASIDE, MOST_ROWS
from tests.limits.conftest import limit
from tests.store.cost import measured

pytestmark = pytest.mark.django_db

KEY = hashed("account:7")
WAITING = 4000


def fill(floor, count, *, is_aside, priority=0):
    """Many rows of one key, which wait at its gate or do not know yet that they have to."""
    due = floor.now - timedelta(hours=1)
    rows = [
        Task(
            task_name="limited",
            task_params=f"[[{number}], {{}}]",
            task_hash="",
            priority=priority,
            run_at=floor.now + ASIDE if is_aside else due,
            due_at=due if is_aside else None,
            limit_key=KEY,
        )
        for number in range(count)
    ]
    floor.store.add_many(rows)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE background_task")


def test_call_back_reads_what_it_calls_back(floor):
    fill(floor, WAITING, is_aside=True)
    Gate.objects.create(key=KEY, name="account:7", max_running=3, look_at=floor.now)
    with measured() as cost:
        assert floor.gates.call_back(KEY, now=floor.now).number == 3
    assert cost.scans == []
    assert cost.rows <= 100, cost.plans


def test_call_back_that_has_no_room_reads_next_to_nothing(floor):
    floor.add(1)
    floor.claim(limit_to=limit(1))
    fill(floor, WAITING, is_aside=True)
    Gate.objects.update(look_at=floor.now)
    with measured() as cost:
        assert floor.gates.call_back(KEY, now=floor.now).number == 0
    assert cost.scans == []
    assert cost.rows <= 60, cost.plans


def test_admit_beside_many_that_wait_reads_its_own(floor):
    fill(floor, WAITING, is_aside=True)
    floor.add(2)
    claims = floor.store.claim("w", ["limited"], limit=2, now=floor.now)
    with measured() as cost:
        admitted = floor.gates.admit([(claim, limit(1)) for claim in claims], now=floor.now)
    assert len(admitted) == 1
    assert cost.scans == []
    assert cost.rows <= 100, cost.plans


def test_admit_puts_aside_a_piece_of_those_behind(floor):
    fill(floor, WAITING, is_aside=False)
    assert floor.claim(2, limit_to=limit(1)) != []
    assert Task.objects.filter(due_at__isnull=False).count() == MOST_ROWS + 1
