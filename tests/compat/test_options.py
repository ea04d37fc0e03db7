"""Options that cannot be stored are refused when they are given, with value and remedy.

The old library let the database refuse them, or cut them, in the middle of a transaction.
"""

import pytest
from django.db import transaction
from django.utils.functional import lazystr

from background_task.models import Task
from background_task.tasks import tasks
from tests.app.models import Ledger
from tests.compat.running import Recording

pytestmark = pytest.mark.django_db

UNSTORABLE = ["with a NUL \x00", "half a pair \ud800", 7, b"bytes", ["list"]]
QUEUES = ["a,b", "it's", 'say "q"', "\U0001f600", "100%", "a b", "NULL", "x" * 190, "\u00e9" * 190]


@pytest.mark.parametrize("name", [*UNSTORABLE, "", "x" * 191], ids=ascii)
def test_decorate_with_name_that_cannot_be_stored_is_refused(name):
    before = dict(tasks._tasks)
    with pytest.raises((TypeError, ValueError)):
        tasks.background(name=name)(Recording())
    assert tasks._tasks == before


def test_decorate_with_longest_name_runs(runs):
    recording = Recording()
    tasks.background(name="x" * 190)(recording)()
    assert runs.next()
    assert len(recording.calls) == 1


@pytest.mark.parametrize("queue", [*UNSTORABLE, "x" * 191], ids=ascii)
def test_give_queue_that_cannot_be_stored_is_refused(recording, queue):
    with pytest.raises((TypeError, ValueError), match="queue"):
        tasks.background(name="queued", queue=queue)(recording)
    with pytest.raises((TypeError, ValueError), match="queue"):
        recording.proxy(queue=queue)
    assert not Task.objects.exists()


@pytest.mark.parametrize("queue", QUEUES, ids=ascii)
def test_give_queue_of_unusual_text_is_served_under_exactly_that_name(recording, runs, queue):
    recording.proxy("right", queue=queue)
    recording.proxy("wrong", queue=queue[:-1] + "?")
    assert runs.all(queue) == 1
    assert recording.calls == [(("right",), {})]


@pytest.mark.parametrize(
    "options",
    [
        {"verbose_name": "x" * 256},
        {"verbose_name": "with a NUL \x00"},
        {"verbose_name": "half a pair \ud800"},
        {"priority": 2**31},
        {"priority": -(2**31) - 1},
        {"priority": "high"},
        {"priority": 1.5},
        {"repeat": "daily"},
        {"repeat": 2**63},
        {"repeat": 1.5},
        {"repeat_until": "tomorrow"},
        {"creator": "somebody"},
        {"creator": Ledger(key="not saved")},
        {"schedule": {"action": 7}},
        {"schedule": {"when": 60}},
    ],
    ids=ascii,
)
def test_give_option_that_cannot_work_is_refused_and_harms_no_transaction(recording, options):
    with transaction.atomic():
        kept = recording.proxy("kept")
        with pytest.raises((TypeError, ValueError)) as refused:
            recording.proxy("refused", **options)
        assert list(Task.objects.all()) == [kept]
    assert next(iter(options)).split("_")[0] in str(refused.value)


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"verbose_name": "x" * 255}, "x" * 255),
        ({"verbose_name": lazystr("translated")}, "translated"),
        ({"priority": 2**31 - 1}, 2**31 - 1),
        ({"priority": -(2**31)}, -(2**31)),
        ({"priority": True}, 1),
        ({"repeat": 2**40}, 2**40),
    ],
    ids=ascii,
)
def test_give_option_at_its_limit_is_stored(recording, options, stored):
    recording.proxy(**options)
    assert getattr(Task.objects.get(), next(iter(options))) == stored
