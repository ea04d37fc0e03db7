"""Pairs of rivals at a gate: never more than the limit says, and nothing is forgotten."""

from datetime import timedelta

import pytest

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.limiter import hashed
from background_task.models import Task
from background_task.store.gate import Gates
from tests.concurrency.rivals import contest
from tests.limits.conftest import limit

KEY = hashed("account:7")
ONE = limit(1)
OUTCOMES = pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Failed("error"), Retry("error", timedelta(0)), Released("stopping")],
    ids=lambda value: type(value).__name__,
)


@pytest.fixture
def pair(scenes):
    """Two rows of one key; the first is claimed by one worker, the second by another."""

    def prepare(*, running=(), aside=()):
        crowd = scenes.many(first={"limit_key": KEY}, second={"limit_key": KEY})
        for owner in ("first", "second"):
            (crowd.claims[owner],) = scenes.store.claim(owner, ["known"], limit=1)
        gates = Gates(scenes.store)
        for label in (*running, *aside):
            gates.admit([(crowd.claims[label], ONE)])
        crowd.names = frozenset({"first", "second"})
        return crowd

    return prepare


def admitting(label):
    def admit(crowd):
        return len(Gates(crowd.store).admit([(crowd.claims[label], ONE)]))

    return admit


def calling_back(crowd):
    return Gates(crowd.store).call_back(KEY).number


def finishing(outcome):
    def finish(crowd):
        return crowd.store.finish(crowd.claims["first"], outcome) is not None

    return finish


def assert_one_runs(outcome):
    """Tell whether one row at most runs, and whoever is put aside will be looked after."""
    __tracebackhide__ = True
    held = [row for row in outcome.tasks if row["locked_by"] is not None]
    aside = [row for row in outcome.tasks if row["due_at"]]
    assert len(held) <= 1
    if aside:
        assert outcome.gates == [True]


def test_admit_against_admit_lets_one_through(pair):
    def judge(outcome):
        assert sorted(outcome.results) == [0, 1]
        assert outcome.permits == 1
        assert_one_runs(outcome)

    contest(pair, admitting("first"), admitting("second"), judge)


@OUTCOMES
def test_admit_against_finish_lets_through_or_puts_aside(pair, outcome):
    contest(
        lambda: pair(running=["first"]),
        admitting("second"),
        finishing(outcome),
        assert_one_runs,
        # A row that comes back at the wrong moment may be put aside together with the other one.
        matches=lambda serial, found: found in serial or found.gates == [True],
    )


def test_call_back_against_call_back_calls_each_once(pair):
    def prepare():
        crowd = pair(running=["first"], aside=["second"])
        crowd.store.finish(crowd.claims["first"], Succeeded())
        return crowd

    def judge(outcome):
        assert sorted(outcome.results) == [0, 1]
        assert not any(row["due_at"] for row in outcome.tasks)

    contest(prepare, calling_back, calling_back, judge)


def test_call_back_against_admit_forgets_nobody(pair):
    """The place is free; the one calls back, the other is about to take it."""

    def prepare():
        crowd = pair(running=["first"], aside=["second"])
        crowd.store.finish(crowd.claims["first"], Succeeded())
        task = Task.objects.get()
        task.pk = task.uid = task.claim_number = task.due_at = None
        task._state.adding = True
        task.task_hash, task.run_at = "third", crowd.now
        crowd.store.add(task)
        (crowd.claims["third"],) = crowd.store.claim("third", ["known"], limit=1)
        return crowd

    def judge(outcome):
        assert outcome.results[1] == 1
        assert_one_runs(outcome)

    contest(prepare, calling_back, admitting("third"), judge)
