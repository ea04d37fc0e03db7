"""Section 9, and RepetitionTestCase of section 15."""

from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from tests.app.models import TextOwner
from tests.compat.running import SignalLog

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def test_run_repeating_task_creates_the_next_one_an_hour_later(mode, runs, recording):
    until = timezone.now() + timedelta(days=9)
    old = recording.proxy("a", k=1, repeat=Task.HOURLY, repeat_until=until, verbose_name="shown")
    assert runs.next()
    new = Task.objects.get()
    assert new.pk != old.pk
    for name in ("task_name", "task_params", "task_hash", "verbose_name", "repeat", "repeat_until"):
        assert getattr(new, name) == getattr(old, name), name
    assert new.run_at == old.run_at + HOUR
    assert (new.attempts, new.locked_by, new.locked_at) == (0, None, None)
    assert (new.failed_at, new.last_error) == (None, "")
    assert runs.next() is False


def test_run_repeating_task_a_week_late_skips_missed_times_and_keeps_the_phase(
    mode, runs, recording
):
    then = timezone.now() - timedelta(weeks=1)
    recording.proxy(repeat=Task.HOURLY, schedule=then)
    assert runs.next()
    new = Task.objects.get()
    assert new.run_at == then + timedelta(weeks=1) + HOUR
    assert timezone.now() < new.run_at <= timezone.now() + HOUR


def test_run_repeating_task_keeps_priority_queue_and_creator(runs, recording):
    owner = TextOwner.objects.create(code="5")
    recording.proxy(repeat=Task.DAILY, priority=-4, queue="q", creator=owner)
    assert runs.next("q")
    new = Task.objects.get()
    assert (new.priority, new.queue, new.creator, new.repeat) == (-4, "q", owner, Task.DAILY)


@pytest.mark.parametrize("repeat", [None, 0, Task.NEVER])
def test_run_task_that_does_not_repeat_creates_nothing(runs, recording, repeat):
    recording.proxy(repeat=repeat)
    assert runs.next()
    assert not Task.objects.exists()


def test_run_repeating_task_past_its_end_creates_nothing(mode, runs, recording):
    end = timezone.now() - timedelta(seconds=1)
    recording.proxy(repeat=Task.HOURLY, repeat_until=end)
    assert runs.next()
    assert not Task.objects.exists()
    assert CompletedTask.objects.count() == 1


def test_run_repeating_task_with_any_number_of_seconds_uses_it(runs, recording):
    task = recording.proxy(repeat=90)
    assert runs.next()
    assert Task.objects.get().run_at == task.run_at + timedelta(seconds=90)


def test_run_repetition_sends_no_task_created(mode, runs, recording):
    recording.proxy(repeat=Task.HOURLY)
    with SignalLog() as log:
        assert runs.next()
    assert "task_created" not in log.names
    assert Task.objects.count() == 1


def test_run_repeating_task_after_a_retry_counts_from_the_time_of_the_retry(runs):
    outcomes = iter([ValueError("first"), None])

    @tasks.background(name="flaky")
    def flaky():
        error = next(outcomes)
        if error is not None:
            raise error

    flaky(repeat=Task.HOURLY)
    assert runs.next()
    retry_at = timezone.now() - timedelta(seconds=3)
    Task.objects.update(run_at=retry_at)
    assert runs.next()
    assert Task.objects.get().run_at == retry_at + HOUR


def test_run_chain_twice_goes_on_step_by_step(runs, recording):
    start = timezone.now() - timedelta(seconds=5)
    recording.proxy(repeat=Task.HOURLY, schedule=start)
    assert runs.next()
    Task.objects.update(run_at=start - timedelta(seconds=1))
    assert runs.next()
    assert Task.objects.get().run_at == start - timedelta(seconds=1) + HOUR
    assert CompletedTask.objects.count() == 2


@pytest.mark.parametrize(
    ("repeat", "until"), [(Task.NEVER, None), (Task.HOURLY, -timedelta(seconds=1))]
)
def test_create_repetition_of_ended_chain_gives_none(repeat, until):
    task = Task.objects.new_task("n", repeat=repeat, repeat_until=until and timezone.now() + until)
    task.save()
    assert task.create_repetition() is None
    assert Task.objects.count() == 1


def test_create_repetition_saves_and_returns_the_next_row():
    task = Task.objects.new_task("n", (1,), {"k": 2}, repeat=Task.HOURLY)
    task.save()
    new = task.create_repetition()
    assert new.pk != task.pk
    assert Task.objects.get(pk=new.pk).run_at == task.run_at + HOUR
    assert Task.objects.count() == 2


def test_run_repeating_task_whose_next_time_is_exactly_its_end_creates_it(runs, recording):
    start = timezone.now() - timedelta(minutes=5)
    recording.proxy(repeat=Task.HOURLY, schedule=start, repeat_until=start + HOUR)
    assert runs.next()
    assert Task.objects.get().run_at == start + HOUR
