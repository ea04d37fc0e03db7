"""``atomic=True`` under SIGKILL: what a task writes to the database is there exactly once."""

import os
import re

import pytest

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.crash import tasks as crash
from tests.process import django_process

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]

TASKS = int(os.environ.get("BACKGROUND_TASK_TEST_KILLS", "100"))
#: A run has some fewer statements and commits: some processes survive.
STEPS = 15


def test_kills_at_each_statement_leave_each_effect_once(crashes, chance):
    for number in range(TASKS):
        crash.pay(f"{number}", repeat=3600 if number % 10 == 0 else None)
    repeating = Task.objects.filter(repeat=3600)
    seed = chance.randrange(10**9)
    with django_process(
        "mortal", "--seed", str(seed), "--steps", str(STEPS),
        settings=crashes.settings, env={"CRASH_LEDGER": str(crashes.ledger)},
    ) as mortals:  # fmt: skip
        deaths = int(mortals.wait_for_line(r"(\d+) deaths", deadline=240)[1])
        assert mortals.wait() == 0
    keys = sorted(Ledger.objects.values_list("key", flat=True))
    assert keys == sorted(
        f"{number}:{side}" for number in range(TASKS) for side in ("debit", "credit")
    )
    assert CompletedTask.objects.filter(failed_at=None).count() == TASKS
    assert repeating.count() == len(range(0, TASKS, 10))
    assert deaths >= TASKS
    assert sum(crashes.runs.values()) > TASKS, "none was killed between its effects and its commit"
    assert re.search(
        "attempt .* was lost", CompletedTask.objects.exclude(last_error="")[0].last_error
    )
