"""``RetryLater`` and ``Snooze``: the function asks to be run again later."""

import logging
from datetime import datetime, timedelta, timezone

import pytest
from django.utils.http import http_date

from background_task import RetryLater, Snooze
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.policies.running import assert_waits, completed, make_due
from tests.store.rows import row

pytestmark = pytest.mark.django_db(transaction=True)

FAR = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=300)


class NotYet(RetryLater):
    """One of a project's own."""

    def __init__(self, what):
        super().__init__(timedelta(hours=2), reason=f"{what} is not there")


class Unprintable(RetryLater):
    def __str__(self):
        raise RuntimeError("nobody shows me")


# -- RetryLater ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        (timedelta(hours=1), 3600),
        ("120", 120),
        (None, 45),
        (1e300, 315532800),
    ],
)
def test_retry_later_waits_for_as_long_as_it_says(any_bench, delay, seconds):
    task = any_bench.raising(RetryLater(delay), backoff=45)()
    assert_waits(task, seconds, while_=any_bench.work)
    assert row(task.pk)["attempts"] == 1
    assert row(task.pk)["locked_by"] is None


@pytest.mark.parametrize("until", [FAR, http_date(FAR.timestamp())], ids=["datetime", "header"])
def test_retry_later_waits_until_a_moment(any_bench, until):
    task = any_bench.raising(RetryLater(until))()
    before = get_store().now()
    any_bench.work()
    elapsed = get_store().now() - before
    assert abs(row(task.pk)["run_at"] - FAR) <= elapsed


@pytest.mark.parametrize("delay", [-5, 0, datetime(2001, 1, 1, tzinfo=timezone.utc), "0"])
def test_retry_later_for_no_time_or_until_a_moment_that_has_passed_means_at_once(any_bench, delay):
    any_bench.raising(RetryLater(delay))()
    any_bench.work(2)
    assert (completed().attempts, completed().failed_at) == (2, None)


def test_retry_later_says_why_in_the_row(any_bench):
    task = any_bench.raising(NotYet("the file"))()
    any_bench.work()
    text = row(task.pk)["last_error"]
    assert text == "to be run again in 2:00:00: the file is not there\n"


def test_retry_later_on_the_last_attempt_fails_for_good(any_bench, signal_log):
    any_bench.raising(*[RetryLater(5, reason="busy")] * 9, max_attempts=2)()
    assert any_bench.work_off() == 2
    assert (completed().attempts, completed().failed_at is None) == (2, False)
    assert "RetryLater: " in completed().last_error
    assert "busy" in completed().last_error
    assert signal_log.names.count("task_failed") == signal_log.names.count("task_error") == 1


def test_retry_later_is_followed_even_if_retry_on_does_not_list_it(any_bench):
    any_bench.raising(RetryLater(5), retry_on=OSError, discard_on=RetryLater)()
    assert any_bench.work_off() == 2
    assert completed().discarded_at is None


def test_retry_later_without_spending_an_attempt_never_ends(any_bench):
    later = RetryLater(None, spend_attempt=False)
    task = any_bench.raising(later, later, later, max_attempts=1, backoff=[60, 600])()
    for _ in range(3):
        make_due()
        assert_waits(task, 60, while_=any_bench.work)
        assert (row(task.pk)["attempts"], row(task.pk)["last_error"]) == (0, "")
    make_due()
    any_bench.work()
    assert (completed().attempts, completed().failed_at) == (1, None)


def test_retry_later_with_a_broken_backoff_says_so_even_if_nothing_is_spent(any_bench):
    def broken(attempt, error):
        raise KeyError("rule")

    task = any_bench.raising(RetryLater(spend_attempt=False), backoff=broken)()
    assert_waits(task, 6, while_=any_bench.work)
    assert "the backoff function failed" in row(task.pk)["last_error"]
    assert row(task.pk)["attempts"] == 0


def test_retry_later_that_cannot_be_printed_is_put_off_all_the_same(any_bench):
    for raised in (Unprintable(60), Unprintable(60, spend_attempt=False)):
        task = any_bench.raising(raised)()
        any_bench.work()
        assert row(task.pk)["locked_by"] is None
        assert row(task.pk)["run_at"] > task.run_at
        Task.objects.all().delete()


def test_retry_later_with_a_reason_that_no_database_stores_is_put_off(any_bench):
    task = any_bench.raising(RetryLater(60, reason="\x00 \ud800 🦆"))()
    assert_waits(task, 60, while_=any_bench.work)
    assert "🦆" in row(task.pk)["last_error"]


@pytest.mark.parametrize("executor", ["inline", "code"])
def test_retry_later_until_a_moment_while_the_database_does_not_answer(
    registry, monkeypatch, executor
):
    """The time of this process will do; the order of the function is not forgotten."""
    from background_task.store import Store
    from tests.policies.running import Bench

    bench, original, failed = Bench(registry, executor), Store.now, []

    def fail():
        def now(self):
            if not failed:
                failed.append(True)
                raise OSError("the socket is gone")
            return original(self)

        monkeypatch.setattr(Store, "now", now)
        raise RetryLater(FAR)

    task = bench.task(fail)()
    bench.work()
    assert failed
    assert row(task.pk)["last_error"].startswith(f"to be run again at {FAR}")
    assert row(task.pk)["run_at"] > FAR - timedelta(days=1)


# -- Snooze -------------------------------------------------------------------------------------


def test_snooze_leaves_the_row_as_it_was_but_for_its_time(any_bench):
    task = any_bench.raising(Snooze(3600, reason="not ready"), max_attempts=3)()
    make_due(attempts=2, last_error="the error before")
    before = row(task.pk)
    assert_waits(task, 3600, while_=any_bench.work)
    after = row(task.pk)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"run_at", "claim_number", "uid"} - ({"uid"} if before["uid"] else set()) | (
        {"started_at"} if before["started_at"] is None else set()
    )


def test_snooze_as_often_as_it_likes(any_bench):
    any_bench.raising(*[Snooze(60)] * 4, ValueError("down"), max_attempts=1)()
    assert any_bench.work_off() == 5
    assert (completed().attempts, completed().failed_at is None) == (1, False)


def test_snooze_until_a_moment(any_bench):
    task = any_bench.raising(Snooze(FAR))()
    any_bench.work()
    assert row(task.pk)["run_at"] > FAR - timedelta(days=1)


def test_snooze_for_no_time_lets_others_go_first(bench):
    order = []

    def job(name):
        order.append(name)
        if name == "first" and order.count("first") < 3:
            raise Snooze(0)

    proxy = bench.task(job)
    proxy("first")
    proxy("second")
    bench.work(4)
    assert order == ["first", "second", "first", "first"]


def test_snooze_keeps_a_repeating_task_in_its_chain(any_bench):
    any_bench.raising(Snooze(60))(repeat=3600)
    any_bench.work()
    assert Task.objects.count() == 1
    make_due()
    any_bench.work()
    assert Task.objects.count() == CompletedTask.objects.count() == 1


# -- who is told --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raised",
    [Snooze(60, reason="busy"), RetryLater(60, reason="busy"),
     RetryLater(60, reason="busy", spend_attempt=False)],
    ids=["Snooze", "RetryLater", "without spending"],
)  # fmt: skip
def test_put_off_is_no_error(any_bench, signal_log, caplog, raised):
    caplog.set_level(logging.INFO, "background_task")
    any_bench.raising(raised)(verbose_name="shown name")
    events = any_bench.work()
    assert signal_log.names == ["task_created", "task_started", "task_rescheduled", "task_finished"]
    assert "error" not in events.names
    (put_off,) = events.of("put_off")
    assert (put_off["reason"], put_off["delay"]) == (str(raised), timedelta(seconds=60))
    (record,) = [one for one in caplog.records if "Putting off" in one.getMessage()]
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert record.getMessage() == "Putting off shown name: to be run again in 0:01:00: busy"
    assert (record.event, record.task_name, record.attempt) == ("put_off", "job", 1)
    assert {one.levelname for one in caplog.records} == {"INFO"}
