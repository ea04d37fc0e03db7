"""Two workers put the same rows together, and somebody reads: each run counts exactly once."""

from datetime import datetime, timedelta, timezone

import pytest

from background_task.models import Rollup
from background_task.models.rollup import EVER, FRESH, HOUR, MINUTE
from background_task.rollup import Tally
from background_task.store.rollups import Rollups
from tests.concurrency.rivals import DEADLINE_SECONDS, Rival, run_until_it_waits

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

NOW = datetime(2026, 5, 4, 12, 30, 45, tzinfo=timezone.utc)
#: The age of rows, what they are, and what becomes of them.
STEPS = {
    "minutes": (timedelta(minutes=5), FRESH, MINUTE),
    "totals": (timedelta(days=9), HOUR, EVER),
}


def compacting():
    Rollups("default").compact(NOW)


def reading():
    return sum(point.tally.ended for point in Rollups("default").totals())


def adding():
    Rollups("default").add({("f", None): Tally(succeeded=1)}, now=NOW)


def prepare(age, span):
    Rollup.objects.all()._raw_delete("default")
    rollups = Rollups("default")
    for name in ("f", "f", "g"):
        rollups.add({(name, None): Tally(succeeded=1)}, now=NOW - age)
    Rollup.objects.update(span=span)
    if span == HOUR:
        rollups.add({("f", None): Tally(succeeded=1)}, now=NOW - age)
        Rollup.objects.filter(span=FRESH).update(span=EVER)


def meet(first, second, *, stop_before):
    """Run the second while the first is stopped before a step; return both when they are done."""
    stopped = Rival(first, stop_before=stop_before)
    stopped.start()
    assert stopped.stopped.wait(DEADLINE_SECONDS)
    runner = Rival(second)
    try:
        run_until_it_waits(runner, for_=stopped)
    finally:
        stopped.end()
        runner.end()
    return stopped, runner


@pytest.mark.parametrize("step", STEPS)
def test_two_who_compact_count_each_run_once(step):
    age, span, into = STEPS[step]
    number = 1
    while True:
        prepare(age, span)
        total = reading()
        one, other = meet(compacting, compacting, stop_before=number)
        assert (one.result, other.result) == (None, None)
        assert reading() == total, one.steps[:number]
        assert set(Rollup.objects.values_list("span", flat=True)) == {into}
        assert Rollup.objects.count() == 2
        if len(one.steps) < number:
            break
        number += 1
    assert number > 4


@pytest.mark.parametrize("second", [reading, adding], ids=["read", "add"])
def test_who_reads_or_adds_meanwhile_sees_and_loses_nothing(second):
    age, span, _ = STEPS["totals"]
    number, is_adding = 1, second is adding
    while True:
        prepare(age, span)
        total = reading()
        one, other = meet(compacting, second, stop_before=number)
        assert one.result is None
        assert other.result == (None if is_adding else total), one.steps[:number]
        assert reading() == total + is_adding
        if len(one.steps) < number:
            break
        number += 1
    assert number > 4
