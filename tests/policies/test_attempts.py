"""How often a task is tried, after what, and with which waits: as its decorator says."""

from datetime import timedelta

import pytest

from background_task import exponential, fixed
from background_task.exceptions import InvalidTaskError
from background_task.models import CompletedTask, Task
from tests.policies.running import assert_waits, completed, make_due

pytestmark = pytest.mark.django_db(transaction=True)


class RemoteError(ConnectionError):
    """One of a project's own."""


# -- how often ----------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_fail_is_tried_as_often_as_max_attempts_says(any_bench, attempts):
    any_bench.raising(*[ValueError("down")] * 9, max_attempts=attempts)()
    assert any_bench.work_off() == attempts
    assert completed().attempts == attempts
    assert completed().failed_at is not None
    assert "ValueError: down" in completed().last_error


@pytest.mark.parametrize(("setting", "declared"), [(1, 3), (3, 1)])
def test_max_attempts_beats_the_setting(bench, settings, setting, declared):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = setting
    bench.raising(*[ValueError()] * 9, max_attempts=declared)()
    assert bench.work_off() == declared


def test_without_max_attempts_the_setting_counts(bench, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 2
    bench.raising(*[ValueError()] * 9, backoff=0)()
    assert bench.work_off() == 2


def test_max_attempts_are_read_from_the_code_of_the_worker(bench):
    """A worker with newer code honours that of the decorator, for rows that wait already."""
    bench.raising(max_attempts=5)()
    bench.raising(*[ValueError()] * 9, max_attempts=1)
    assert bench.work_off() == 1


def test_success_after_failures_counts_the_attempts(any_bench):
    any_bench.raising(ValueError(), ValueError(), max_attempts=3)()
    assert any_bench.work_off() == 3
    assert (completed().attempts, completed().failed_at) == (3, None)


# -- after what ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "raised", "runs"),
    [
        (OSError, RemoteError(), 2),
        ((KeyError, OSError), RemoteError(), 2),
        (OSError, ValueError(), 1),
        ((), OSError(), 1),
        (SystemExit, SystemExit(1), 2),
        (Exception, SystemExit(1), 1),
    ],
)
def test_retry_on_lists_all_after_which_there_is_another_attempt(any_bench, listed, raised, runs):
    any_bench.raising(raised, retry_on=listed)()
    assert any_bench.work_off() == runs
    assert (completed().failed_at is None) == (runs == 2)


def test_invalid_task_is_not_tried_again_whatever_the_options_say(any_bench):
    any_bench.raising(
        InvalidTaskError("no"), retry_on=InvalidTaskError, discard_on=InvalidTaskError
    )()
    assert any_bench.work_off() == 1
    assert completed().failed_at is not None


def test_arguments_that_do_not_fit_count_as_any_exception(bench):
    bench.task(lambda: None)()
    bench.task(lambda user: None, max_attempts=1)
    assert bench.work_off() == 1
    assert "TypeError" in completed().last_error


# -- with which waits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (None, 6),
        (90, 90),
        (fixed(timedelta(minutes=2)), 120),
        ([60, 600], 60),
        (exponential(45, jitter=0), 45),
        (lambda attempt, error: 100 * attempt + len(str(error)), 104),
    ],
    ids=["default", "seconds", "fixed", "list", "exponential", "function"],
)
def test_backoff_says_how_long_the_next_attempt_waits(any_bench, backoff, seconds):
    task = any_bench.raising(ValueError("down"), backoff=backoff)()
    assert_waits(task, seconds, while_=any_bench.work)


def test_backoff_goes_by_the_number_of_the_attempt(bench):
    task = bench.raising(*[ValueError()] * 9, backoff=[60, 600])()
    for seconds in (60, 600, 600):
        make_due()
        assert_waits(task, seconds, while_=bench.work)


@pytest.mark.parametrize("wrong", ["tomorrow", -1, float("nan"), None])
def test_backoff_function_that_returns_no_wait_is_replaced_and_told(bench, wrong):
    task = bench.raising(ValueError("down"), backoff=lambda *_: wrong)()
    assert_waits(task, 6, while_=bench.work)
    text = Task.objects.get().last_error
    assert "ValueError: down" in text
    assert "the backoff function failed, the default was used" in text


def test_backoff_function_that_raises_is_replaced_and_told(any_bench):
    def broken(attempt, error):
        raise SystemExit("broken rule")

    task = any_bench.raising(ValueError("down"), backoff=broken)()
    assert_waits(task, 6, while_=any_bench.work)
    text = Task.objects.get().last_error
    assert "ValueError: down" in text
    assert "the backoff function failed, the default was used: SystemExit: broken rule" in text


def test_backoff_of_zero_is_run_again_at_once(any_bench):
    any_bench.raising(*[ValueError()] * 2, backoff=0)()
    any_bench.work(3)
    assert completed().attempts == 3


# -- repeating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("goes_on", [False, True])
def test_failure_for_good_ends_the_chain_unless_repeat_on_failure(any_bench, goes_on):
    job = any_bench.raising(ValueError("down"), max_attempts=1, repeat_on_failure=goes_on)
    task = job(repeat=3600, queue="q")
    any_bench.work()
    assert completed().failed_at is not None
    assert CompletedTask.objects.failed().count() == 1
    assert Task.objects.count() == goes_on
    for following in Task.objects.all():
        assert following.run_at == task.run_at + timedelta(hours=1)
        assert (following.attempts, following.last_error, following.queue) == (0, "", "q")


def test_invalid_task_goes_on_repeating_with_repeat_on_failure(any_bench):
    any_bench.raising(InvalidTaskError(), repeat_on_failure=True)(repeat=3600)
    any_bench.work()
    assert CompletedTask.objects.failed().count() == Task.objects.count() == 1
