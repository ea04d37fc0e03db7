"""How many statements a task of either kind costs: the same."""

from datetime import timedelta

import pytest

from background_task.attempt import Failed, Retry, Succeeded
from background_task.models import Task as Row
from background_task.store import get_store
from tests.backends import tasks
from tests.backends.running import attempt, work
from tests.store.rows import statements
from tests.worker.conftest import registry

__all__ = ["registry"]  # a fixture


@pytest.fixture
def plain(registry):
    return registry.background(name="plain", max_attempts=1)(lambda value: value)


def cost_of_working(**options):
    with statements() as kept:
        work(**options)
    return len(kept.all)


@pytest.mark.django_db
def test_a_run_takes_no_more_statements_than_one_of_background(plain):
    costs = []
    for enqueue in (plain, tasks.echo.enqueue) * 2:
        enqueue(1)
        costs.append(cost_of_working())
    assert costs[2] == costs[3]


@pytest.mark.django_db
def test_a_failure_takes_no_more_statements_than_one_of_background(registry):
    def fail():
        raise ValueError

    plain = registry.background(name="fail", max_attempts=1)(fail)
    costs = []
    for enqueue in (plain, tasks.fail.enqueue) * 2:
        enqueue()
        costs.append(cost_of_working())
    assert costs[2] == costs[3]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "outcome",
    [Succeeded("1"), Failed("no\n", exception="builtins.ValueError"), Retry("no\n", timedelta(1))],
    ids=["success", "failure", "retry"],
)
def test_the_verbs_of_the_store_take_no_more_statements_either(plain, outcome):
    store, costs = get_store(), []
    for enqueue in (plain, tasks.echo.enqueue) * 2:
        enqueue(1)
        with statements() as kept:
            (claim,) = store.claim("w", ["plain"], backends={"default": False}, limit=1)
            store.finish_many([(claim, outcome)])
        costs.append(len(kept.all))
    assert costs[2] == costs[3]


@pytest.mark.django_db
def test_many_rows_are_claimed_by_one_statement_whoever_queued_them(plain):
    store = get_store()
    for number in range(5):
        plain(number)
        tasks.echo.enqueue(number)
    with statements() as few:
        claims = store.claim("w", ["plain"], backends={"default": True}, limit=2)
    with statements() as many:
        claims += store.claim("w", ["plain"], backends={"default": True}, limit=8)
    assert len(claims) == 10
    assert not Row.objects.filter(locked_by=None).exists()
    assert len(few.all) == len(many.all)


@pytest.mark.django_db
def test_an_attempt_that_is_not_the_first_costs_the_same(plain):
    tasks.fail.using(max_attempts=3, backoff=timedelta(hours=1)).enqueue()
    costs = []
    for _ in range(2):
        with statements() as kept:
            attempt()
        costs.append(len(kept.all))
    assert costs[0] == costs[1]
