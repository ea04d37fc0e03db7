"""More that worked in 1.2.8 and has to go on working; each was once lost in 2.0."""

import threading
from datetime import date, datetime, timedelta, timezone
from unittest import mock

import pytest
from django.contrib import admin
from django.db import connection
from django.utils import timezone as django_timezone

from background_task import admin as our_admin
from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from tests.waiting import wait_until

END = datetime(2030, 1, 2, tzinfo=timezone.utc)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "until",
    [
        END,
        "2030-01-02T00:00:00Z",
        "2030-01-02 01:00:00+01:00",
        "2030-01-02T00:00:00",
        "2030-01-02",
        date(2030, 1, 2),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime:RuntimeWarning")
def test_repeat_until_is_taken_in_the_forms_of_a_date_time_field(until, recording):
    recording.proxy(repeat=10, repeat_until=until)
    assert Task.objects.get().repeat_until == END


@pytest.mark.django_db
@pytest.mark.parametrize("until", ["tomorrow", "2030-02-31", "", 7])
def test_repeat_until_that_is_no_date_is_refused_in_the_call(until, recording):
    with pytest.raises((TypeError, ValueError), match="repeat_until"):
        recording.proxy(repeat=10, repeat_until=until)
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_moved_clock_moves_what_is_due_in_a_test_case(recording):
    """freezegun, time-machine and mocks move the clock of the process, not of the server."""
    recording.proxy(schedule=60)
    assert not tasks.run_next_task()
    later = django_timezone.now() + timedelta(seconds=120)
    with mock.patch("django.utils.timezone.now", return_value=later):
        assert tasks.run_next_task()
    assert len(recording.calls) == 1
    assert CompletedTask.objects.get().run_at == later


@pytest.mark.django_db(transaction=True)
def test_own_loop_takes_no_more_rows_than_the_pool_has_threads(settings):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = 2
    may_end = threading.Event()
    begun = []

    @tasks.background(name="slow")
    def slow(number):
        begun.append(number)
        assert may_end.wait(20)

    for number in range(6):
        slow(number)

    returned = []

    def serve():
        try:
            while tasks.run_next_task():
                returned.append(1)
        finally:
            connection.close()

    loop = threading.Thread(target=serve, daemon=True)
    loop.start()
    try:
        wait_until(lambda: (len(begun), len(returned)) == (2, 2))
        # The third row waits in the call that claimed it; the others are left to other workers.
        loop.join(0.5)
        assert loop.is_alive()
        assert (len(begun), len(returned)) == (2, 2)
        assert Task.objects.filter(locked_by=None).count() >= 3
    finally:
        may_end.set()
    loop.join(20)
    assert not loop.is_alive()
    wait_until(lambda: CompletedTask.objects.count() == 6)
    assert sorted(begun) == list(range(6))


@pytest.mark.django_db
@pytest.mark.parametrize("action", [our_admin.inc_priority, our_admin.dec_priority])
def test_admin_action_on_very_many_rows_sends_statements_of_bounded_size(action, monkeypatch):
    """SQLite takes 250,000 parameters in one statement, MySQL a packet of some size."""
    monkeypatch.setattr("background_task.admin.batch.BATCH_SIZE", 10)
    Task.objects.bulk_create([Task.objects.new_task("many") for _ in range(35)])
    sizes = []

    def measure(execute, sql, params, many, context):
        sizes.append(len(params or ()))
        return execute(sql, params, many, context)

    model_admin = our_admin.TaskAdmin(Task, admin.site)
    with connection.execute_wrapper(measure):
        action(model_admin, None, model_admin.get_queryset(None))
    step = 1 if action is our_admin.inc_priority else -1
    assert set(Task.objects.values_list("priority", flat=True)) == {step}
    assert 10 <= max(sizes) <= 12
