"""Whatever a task returns, raises or leaves behind: its outcome lands once (I11)."""

import pytest

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.hostile import tasks as hostile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("what", hostile.RESULTS)
def test_return_of_anything_is_done_once(what, run_between):
    worker = run_between(lambda: hostile.give_back(what))
    done = CompletedTask.objects.get(task_name="tests.hostile.tasks.give_back")
    assert (done.attempts, done.failed_at, done.last_error) == (1, None, "")
    assert worker.events.names.count("success") == 2
    assert not Task.objects.exists()


@pytest.mark.parametrize("what", hostile.ERRORS)
def test_raise_of_anything_is_retried_once_with_its_real_text(what, run_between):
    worker = run_between(lambda: hostile.throw(what))
    assert_retried(worker, hostile.ERRORS[what][1])


@pytest.mark.parametrize("what", hostile.ERRORS)
def test_raise_of_anything_in_a_coroutine_is_retried_once(what, run_between_inline):
    worker = run_between_inline(lambda: hostile.throw_later(what))
    # Python's own rule: no StopIteration leaves a coroutine as it is.
    is_translated = what == "stop iteration"
    text = "coroutine raised StopIteration" if is_translated else hostile.ERRORS[what][1]
    assert_retried(worker, text)


def assert_retried(worker, text):
    row = Task.objects.get()
    assert (row.attempts, row.failed_at) == (1, None)
    assert text in row.last_error
    assert len(row.last_error) < 110_000
    assert worker.events.names.count("retry") == 1


@pytest.mark.parametrize("what", hostile.ERRORS)
def test_raise_of_anything_at_the_last_attempt_fails_with_its_real_text(
    what, run_between_inline, settings
):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    run_between_inline(lambda: hostile.throw(what))
    done = CompletedTask.objects.get(task_name="tests.hostile.tasks.throw")
    assert done.failed_at is not None
    assert done.attempts == 1
    assert hostile.ERRORS[what][1] in done.last_error
    assert not Task.objects.exists()


#: These do no harm that anybody would have to be told of.
HARMLESS = {
    "close_connection",
    "close_driver_connection",
    "activate_zone",
    "activate_language",
}


@pytest.mark.parametrize("what", hostile.MESSES)
def test_mess_after_success_is_put_in_order(what, run_between):
    worker = run_between(lambda: hostile.mess(what))
    done = CompletedTask.objects.get(task_name="tests.hostile.tasks.mess")
    assert (done.attempts, done.failed_at) == (1, None)
    assert not Task.objects.exists()
    assert set(Ledger.objects.values_list("key", flat=True)) == {"next"}
    assert bool(worker.events.of("mess")) == (what not in HARMLESS)


@pytest.mark.parametrize("what", hostile.MESSES)
def test_mess_after_error_keeps_the_error(what, run_between):
    run_between(lambda: hostile.mess_and_throw(what))
    row = Task.objects.get()
    assert row.attempts == 1
    assert "real error after a mess" in row.last_error
    assert set(Ledger.objects.values_list("key", flat=True)) == {"next"}
