"""Four workers through simulated hours: each tick of each schedule is put exactly once."""

import random
import threading
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from background_task import periodic
from background_task.models import Task
from background_task.recurrence.zone import instant
from tests.concurrency.rivals import Rival
from tests.periodic.conftest import HOUR, NOON

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

WORKERS = 4
STEP = timedelta(seconds=20)
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


def live(ticker, *, until, barrier, numbers):
    """One worker's life: it looks at a clock that jumps, and nobody is far ahead of the others.

    Args:
        ticker: The worker.
        until: The end of the simulated time.
        barrier: Where all wait for each other before each step of 20 seconds.
        numbers: How far into the step the worker's clock is; None: all look at the same moment.
    """
    now, taken = NOON, 0
    while now < until:
        now = min(until, now + STEP)
        barrier.wait(DEADLINE_SECONDS)
        late = timedelta(0) if numbers is None or now == until else STEP * numbers.random()
        taken += ticker.look(now + late)
        while ticker.due(now + late) or ticker.seconds_until_due() == 0:
            taken += ticker.look(now + late)
    return taken


@pytest.mark.parametrize(
    ("life", "is_together"),
    [
        pytest.param(SECONDLY, True, id="secondly-together"),
        pytest.param(SECONDLY, False, id="secondly-apart"),
        pytest.param(MINUTELY, True, id="minutely-together", marks=pytest.mark.slow),
        pytest.param(MINUTELY, False, id="minutely-apart"),
    ],
)
def test_each_tick_of_simulated_hours_is_put_once(registry, make_ticker, life, is_together):
    function = declare(registry, life["schedules"])
    until = NOON + life["hours"]
    tickers = [make_ticker() for _ in range(WORKERS)]
    tickers[0].read(NOON)
    barrier = threading.Barrier(WORKERS)
    clocks = [None if is_together else random.Random(number) for number in range(WORKERS)]
    rivals = [
        Rival(partial(live, ticker, until=until, barrier=barrier, numbers=numbers))
        for ticker, numbers in zip(tickers, clocks, strict=True)
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
    assert sum(map(bool, taken)) > 1, taken
