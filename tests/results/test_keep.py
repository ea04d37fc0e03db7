"""Which results are kept, and what becomes of those that cannot be."""

import logging
from datetime import date

import pytest
from django.db import connection

from background_task import ResultNotKeptError
from background_task.attempt import Failed, Succeeded
from background_task.models import CompletedTask, Task
from background_task.return_value import not_kept
from background_task.store import Store
from background_task.store.group import MOST_RESULT_BYTES, GroupStore
from background_task.worker.finish import land
from tests.results.conftest import OUTSIDE
from tests.store.losses import LOSSES
from tests.store.rows import NAMES, add, everything

pytestmark = pytest.mark.django_db


def giving(value):
    def give():
        return value

    return give


def returned():
    return CompletedTask.objects.get().return_value


@pytest.mark.parametrize("value", [{"rows": 3}, [date(2030, 1, 1)], "", 0, False, "\0 \ud800 🦆"])
def test_run_keeps_what_the_function_returns(run, value):
    assert run(giving(value)).result == value


def test_run_keeps_what_a_coroutine_function_returns(run):
    async def give():
        return {"rows": 3}

    assert run(give).result == {"rows": 3}


def test_run_that_returns_none_leaves_the_column_empty(run):
    task = run(giving(None))
    assert returned() is None
    assert task.result is None


@pytest.mark.parametrize(
    ("setting", "option", "is_kept"),
    [
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
def test_run_keeps_as_the_option_says_or_else_the_setting(run, settings, setting, option, is_kept):
    settings.BACKGROUND_TASK_KEEP_RESULTS = setting
    run(giving(7), keep_result=option)
    assert returned() == ("7" if is_kept else None)


def test_call_may_say_otherwise_than_the_function(registry):
    proxy = registry.background(name="results.keep", keep_result=True)(giving(7))
    proxy.using(keep_result=False)()
    assert registry.run_next_task()
    assert returned() is None


@pytest.mark.parametrize("value", [{1, 2}, object(), "x" * 100], ids=["set", "object", "large"])
def test_run_that_returns_what_cannot_be_kept_has_succeeded(run, settings, events, caplog, value):
    settings.BACKGROUND_TASK_MAX_RESULT_BYTES = 50
    with caplog.at_level(logging.INFO, "background_task"):
        task = run(giving(value))
    assert task.status == "succeeded"
    with pytest.raises(ResultNotKeptError, match="keep_result=False") as caught:
        _ = task.result
    (reason,) = [fields["reason"] for name, fields in events if name == "not_kept"]
    assert reason in str(caught.value)
    assert any("is not kept" in record.getMessage() for record in caplog.records)


class Hostile(dict):
    """A value that ends the process when it is looked at."""

    def items(self):
        raise SystemExit("gotcha")


def test_run_that_returns_something_hostile_has_succeeded(run, settings):
    settings.BACKGROUND_TASK_MAX_RESULT_BYTES = 1
    task = run(giving(Hostile(xx=1)))
    assert task.status == "succeeded"
    with pytest.raises(ResultNotKeptError, match="SystemExit"):
        _ = task.result


# -- the store -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_finish_of_a_value_that_the_database_refuses_is_written_without_it(store, monkeypatch):
    claim = store.claim_one(add(store).pk, "w")
    save = CompletedTask.save

    def refuse(self, *args, **kwargs):
        if self.return_value == "7":
            raise ValueError("no sevens")
        save(self, *args, **kwargs)

    monkeypatch.setattr(CompletedTask, "save", refuse)
    assert land(store, claim, Succeeded("7")) is not None
    with pytest.raises(ResultNotKeptError, match="the database refused it"):
        _ = CompletedTask.objects.get().result


@pytest.mark.parametrize("lose", LOSSES)
def test_finish_of_a_stale_claim_keeps_no_result(store, lose):
    claim = store.claim_one(add(store).pk, "w")
    lose(store, claim)
    before = everything()
    assert store.finish(claim, Succeeded("7")) is None
    assert everything() == before


ROADS = [
    pytest.param("own", marks=OUTSIDE),
    pytest.param("group", marks=OUTSIDE),
    pytest.param("plain", marks=OUTSIDE),
    "in a transaction",
]


@pytest.fixture(params=ROADS)
def any_store(request, store):
    return {"group": GroupStore, "plain": Store}.get(request.param, type(store))(store.using)


@pytest.mark.parametrize("repeat", [0, 3600])
def test_finish_many_gives_each_row_its_own_result(any_store, repeat):
    for _ in range(7):
        add(any_store, repeat=repeat)
    claims = any_store.claim("w", NAMES, limit=7)
    results = [None, "1", None, '"two"', not_kept("why"), "[3]", None]
    ends = [(claim, Succeeded(result)) for claim, result in zip(claims, results, strict=True)]
    ends[3] = (claims[3], Failed("f"))
    assert None not in any_store.finish_many(ends)
    found = {row.uid: row.return_value for row in CompletedTask.objects.all()}
    results[3] = None
    assert found == {claim.uid: result for claim, result in zip(claims, results, strict=True)}


def test_finish_many_of_stale_claims_keeps_no_result(any_store):
    for _ in range(3):
        add(any_store)
    claims = any_store.claim("w", NAMES, limit=3)
    any_store.release(claims[:2])
    finishes = any_store.finish_many([(claim, Succeeded("7")) for claim in claims])
    assert [finish is not None for finish in finishes] == [False, False, True]
    assert [row.return_value for row in CompletedTask.objects.all()] == ["7"]
    assert Task.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_finish_many_with_results_of_more_rows_than_one_statement_takes(store):
    now = store.now()
    made = [Task(task_name="known", run_at=now) for _ in range(1201)]
    Task.objects.bulk_create(made)
    claims = store.claim("w", NAMES, limit=1201)
    ends = [(claim, Succeeded(str(claim.task_id))) for claim in claims]
    assert None not in store.finish_many(ends)
    found = dict(CompletedTask.objects.values_list("uid", "return_value"))
    assert found == {claim.uid: str(claim.task_id) for claim in claims}


@pytest.mark.django_db(transaction=True)
def test_finish_many_of_large_results_sends_no_statement_that_a_server_refuses(store):
    large = '"' + "x" * (MOST_RESULT_BYTES // 2) + '"'
    for _ in range(5):
        add(store)
    claims = store.claim("w", NAMES, limit=5)
    sizes = []

    def measure(execute, sql, params, many, context):
        sizes.append(sum(len(str(param)) for param in params or ()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(measure):
        assert None not in store.finish_many([(claim, Succeeded(large)) for claim in claims])
    assert max(sizes) < MOST_RESULT_BYTES + 10_000
    assert CompletedTask.objects.filter(return_value=large).count() == 5
