"""Four workers through simulated hours: each tick of each schedule is put exactly once."""

import random
import threading
from collections import Counter
from datetime import timedelta

import pytest

from background_task import periodic
from background_task.models import Task
from background_task.recurrence.zone import instant
from tests.concurrency.rivals import Rival
from tests.periodic.conftest import HOUR, NOON

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

WORKERS = 4
DEADLINE_SECONDS = 350
#: How long the simulated time is, and the schedules in it.
SECONDLY = {"hours": HOUR / 5, "schedules": {"1 s": 1, "2.5 s": timedelta(seconds=2.5)}}
MINUTELY = {
    "hours": 3 * HOUR,
    "schedules": {
        "17 s": 17,
        "60 s": 60,
        "crontab": "* * * * *",
        "steps": "~/7 * * * *",
        "zone": ("*/5 9-17 * * *", "Australia/Lord_Howe"),
        "rrule": "FREQ=MINUTELY;INTERVAL=3",
    },
}


def declare(registry, schedules):
    function = registry.background(name="t")(lambda name: None)
    for name, schedule in schedules.items():
        schedule, zone = schedule if isinstance(schedule, tuple) else (schedule, None)
        periodic(schedule, zone=zone, name=name, args=[name], catch_up="all")(function)
    return function


def live(ticker, *, until, barrier, seed):
    """One worker's life: looks at a clock that jumps, at first together with all others."""
    numbers = random.Random(seed)
    now = NOON
    taken = 0
    while now < until:
        if barrier is not None:
            barrier.wait(DEADLINE_SECONDS)
            now = min(until, now + timedelta(seconds=20))
        else:
            now = min(until, now + timedelta(seconds=numbers.uniform(0.1, 40)))
        taken += ticker.look(now)
        while ticker.due(now) or ticker.seconds_until_due() == 0:
            taken += ticker.look(now)
    return taken


@pytest.mark.parametrize("is_together", [True, False], ids=["together", "apart"])
@pytest.mark.parametrize("life", [SECONDLY, MINUTELY], ids=["secondly", "minutely"])
def test_each_tick_of_simulated_hours_is_put_once(registry, make_ticker, life, is_together):
    function = declare(registry, life["schedules"])
    until = NOON + life["hours"]
    tickers = [make_ticker() for _ in range(WORKERS)]
    tickers[0].read(NOON)
    barrier = threading.Barrier(WORKERS) if is_together else None
    rivals = [
        Rival(
            lambda ticker=ticker, seed=seed: live(ticker, until=until, barrier=barrier, seed=seed)
        )
        for seed, ticker in enumerate(tickers)
    ]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(DEADLINE_SECONDS)
    taken = [rival.end() for rival in rivals]
    assert [type(number) for number in taken] == [int] * WORKERS, taken
    expected = Counter()
    for declaration in function.schedules:
        moment = NOON
        while (moment := declaration.after(moment)) <= until:
            expected[declaration.name, moment] += 1
    put = Counter((task.params()[0][0], instant(task.run_at)) for task in Task.objects.iterator())
    assert set(expected.values()) == {1}
    assert put == expected
    assert sum(taken) == len(expected)
    assert all(taken), "each worker took part"
