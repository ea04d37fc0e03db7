"""A busy worker asks less often for functions of which nothing waits."""

from types import SimpleNamespace

import pytest

from background_task.store import get_store
from background_task.worker import Control, Loop, Options, part as parts
from background_task.worker.executors import InlineExecutor
from background_task.worker.part import LONG_SECONDS, REST, Part


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(parts, "time", clock)
    return clock


@pytest.fixture
def control():
    control = Control()
    yield control
    control.polling.close()


def claims_that_take(*seconds, clock, control, found=()):
    """A part that has just claimed."""
    left = list(seconds)

    def claim(*args, **kwargs):
        clock.now += left.pop(0)
        return list(found)

    part = Part(
        InlineExecutor(lambda claim: None, control=control),
        lambda: ["f"],
        registry={},
        admission=SimpleNamespace(admit=list),
    )
    for _ in seconds:
        part.claim(SimpleNamespace(claim=claim), "w", queues=(), room=10, is_ahead=False)
    return part


def test_claims_that_find_nothing_in_a_long_time_are_followed_by_a_rest(clock, control):
    part = claims_that_take(3 * LONG_SECONDS, 2 * LONG_SECONDS, clock=clock, control=control)
    assert part.rest() == pytest.approx(REST * 2 * LONG_SECONDS)
    clock.now += REST * 2 * LONG_SECONDS
    assert part.rest() == 0


def test_quick_claim_and_one_that_finds_something_need_no_rest(clock, control):
    found = [SimpleNamespace(attempts=0)]
    quick = [LONG_SECONDS / 2] * 2
    assert claims_that_take(*quick, clock=clock, control=control).rest() == 0
    long = [2 * LONG_SECONDS] * 2
    assert claims_that_take(*long, clock=clock, control=control, found=found).rest() == 0


def test_one_claim_during_which_the_machine_stood_still_needs_no_rest(clock, control):
    """Else a worker with one slow task would be blind for the new ones for a hundred seconds."""
    assert claims_that_take(5, clock=clock, control=control).rest() == 0
    quick_after = claims_that_take(5, LONG_SECONDS / 2, clock=clock, control=control)
    assert quick_after.rest() == 0


@pytest.mark.parametrize(
    ("found", "asked"),
    [(["a claim"], ["other"]), ([], ["other", "resting"])],
    ids=["the other has work", "nobody has work"],
)
def test_resting_part_is_asked_last_and_only_if_there_is_nothing_else(
    transactional_db, control, monkeypatch, found, asked
):
    loop = Loop({}, store=get_store(), control=control, options=Options(concurrency=2))
    resting, other = loop.parts
    seen = []
    for part, name, claims in ((resting, "resting", []), (other, "other", found)):

        def answer(*args, name=name, claims=claims, **kwargs):
            seen.append(name)
            return claims

        monkeypatch.setattr(part, "claim", answer)
    resting._rests_until = float("inf")
    assert loop._claim() == found
    assert seen == asked
    loop.wakeup.close()
