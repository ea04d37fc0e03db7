"""What people do to tasks that wait: another time, priority or queue, or left out this once."""

from datetime import datetime, timedelta, timezone

import pytest
from django.contrib.admin.models import LogEntry

from background_task import pause, telemetry
from background_task.admin import batch, inc_priority, run_now
from background_task.api import process_one_task
from background_task.models import CompletedTask, Task
from background_task.option import LARGEST_PRIORITY
from background_task.signals import task_discarded
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
THEN = datetime(2030, 1, 1, tzinfo=timezone.utc)
LEFT = "1 left alone: claimed by a worker, or gone."


def log():
    """What the admin log says of each row."""
    return dict(LogEntry.objects.values_list("object_repr", "change_message"))


@pytest.fixture
def discarded():
    """The archive rows of which the signal has told."""
    found = []

    def note(sender, completed_task, **kwargs):
        found.append(completed_task)

    task_discarded.connect(note)
    yield found
    task_discarded.disconnect(note)


def test_reschedule_gives_those_that_wait_another_time(store, act):
    aside = add(run_at=store.now() + HOUR, due_at=store.now() - HOUR, verbose_name="aside")
    held = add(locked_by="w")
    said = act("reschedule_tasks", aside, held, run_at="2030-01-01T00:00:00")
    assert said == f"1 rescheduled, {LEFT}"
    aside.refresh_from_db()
    assert (aside.run_at, aside.due_at) == (THEN, None)
    assert Task.objects.get(pk=held.pk).run_at == held.run_at
    assert log() == {"aside": "Rescheduled to 2030-01-01 00:00:00+00:00."}


def test_reschedule_lets_a_chain_go_on_from_there(act):
    task = add(options='{"catch_up":"all","tick":"2029-01-01T00:00:00+00:00"}', repeat=3600)
    act("reschedule_tasks", task, run_at="2030-01-01T00:00:00")
    task.refresh_from_db()
    assert task.repetition(now=THEN).run_at == THEN + HOUR


def test_change_priority_reaches_those_that_wait(act):
    waiting, held = add(verbose_name="waiting"), add(locked_by="w")
    assert act("change_priority", waiting, held, priority="-7") == f"1 changed, {LEFT}"
    assert list(Task.objects.order_by("pk").values_list("priority", flat=True)) == [-7, 0]
    assert log() == {"waiting": "Priority set to -7."}


@pytest.mark.parametrize(
    ("queue", "stored", "message"),
    [
        ("mail", "mail", "Moved to queue 'mail'."),
        ("", None, "Moved to the unnamed queue."),
    ],
)
def test_move_to_another_queue(act, queue, stored, message):
    waiting, held = add(queue="old", verbose_name="waiting"), add(queue="old", locked_by="w")
    assert act("change_queue", waiting, held, queue=queue) == f"1 moved, {LEFT}"
    assert list(Task.objects.order_by("pk").values_list("queue", flat=True)) == [stored, "old"]
    assert log() == {"waiting": message}


def test_task_that_was_moved_does_not_keep_its_call_from_the_old_queue(registry, act):
    """It has taken along the unique key that tells calls of one queue apart."""
    proxy = registry.background(name="only", queue="old")(lambda: None)
    moved = proxy(remove_existing_tasks=True)
    act("change_queue", moved, queue="new")
    again = proxy(remove_existing_tasks=True)
    assert again.pk is not None
    assert set(Task.objects.values_list("queue", flat=True)) == {"old", "new"}


def test_unique_task_that_was_changed_stays_the_only_one(registry, act):
    proxy = registry.background(name="only", unique=True)(lambda: None)
    task = proxy()
    act("reschedule_tasks", task, run_at="2030-01-01T00:00:00")
    act("change_queue", task, queue="new")
    assert proxy() is None
    assert Task.objects.count() == 1


def test_raise_priority_stops_at_the_end_of_the_column(act):
    last = add(priority=LARGEST_PRIORITY)
    said = act("inc_priority", last, add())
    assert said == "1 changed, 1 left alone: gone, in other hands, or at the end of the range."
    assert set(Task.objects.values_list("priority", flat=True)) == {LARGEST_PRIORITY, 1}
    assert set(log().values()) == {"Priority +1."}


def test_run_now_of_what_is_paused_goes_on_waiting(registry, ran, act):
    task = registry.background(name="note", queue="mail")(ran.append).using(schedule=3600)(1)
    pause(queue="mail")
    assert act("run_now", task) == "1 due now."
    assert process_one_task() is None
    assert ran == []


def test_discard_leaves_out_one_run_and_the_chain_goes_on(
    store, act, discarded, django_capture_on_commit_callbacks
):
    events = []
    run_at = store.now() + HOUR
    task = add(repeat=3600, run_at=store.now() + 24 * HOUR, due_at=run_at, unique_key="k")

    def note(name, fields):
        events.append((name, fields["claim"].uid, fields["seconds"], fields["lost"]))

    with (
        telemetry.subscribed(note, to=["discard"]),
        django_capture_on_commit_callbacks(execute=True),
    ):
        said = act("discard_tasks", task, add(locked_by="w"))
    assert said == "1 discarded, 1 left alone: running."
    assert events == [("discard", task.uid, None, False)]
    completed = CompletedTask.objects.get()
    assert (completed.status, completed.uid, completed.attempts) == ("discarded", task.uid, 0)
    assert completed.last_error == "somebody discarded it before it began"
    assert discarded == [completed]
    following = Task.objects.get(locked_by=None)
    assert (following.run_at, following.unique_key) == (run_at + HOUR, None)
    assert following.uid != task.uid
    assert log() == {"other": f"Discarded (task {task.uid})."}


def test_discard_of_what_is_gone_says_so(store, act):
    task = add()
    assert store.discard(task.pk) == "discarded"
    assert [store.discard(which) for which in (task.uid, task.pk)] == ["finished", "gone"]
    said = act("discard_tasks", add(failed_at=store.now()))
    assert said == "1 finished already."


def test_cancel_writes_to_the_log_what_became_of_each(act):
    waiting, running = add(verbose_name="waiting"), add(verbose_name="running", locked_by="w")
    assert act("cancel_tasks", waiting, running) == "1 cancelled, 1 asked to end."
    assert log() == {
        "waiting": f"Cancelled (task {waiting.uid}).",
        "running": f"Asked to end (task {running.uid}).",
    }


def test_run_again_adds_a_task_however_the_other_one_has_ended(act):
    rows = [archive(status=status) for status in ("succeeded", "failed", "discarded", "cancelled")]
    assert act("run_again", *rows) == "4 put into the queue anew."
    assert act("run_again", rows[0]).endswith("1 put into the queue anew.")
    assert Task.objects.count() == 5
    text = LogEntry.objects.filter(object_id=rows[1].pk).get().change_message
    assert text in {f"Put into the queue anew as task {task.uid}." for task in Task.objects.all()}


# -- many rows -------------------------------------------------------------------------------------


def test_many_rows_are_read_a_batch_at_a_time(monkeypatch):
    monkeypatch.setattr(batch, "BATCH_SIZE", 2)
    keys = [add().pk for _ in range(5)]
    found = []
    for part in batch.batches(Task.objects.order_by("-run_at")):
        found.append(part)
        if len(found) == 1:
            add()  # comes meanwhile, and is not meant
        Task.objects.filter(pk__in=part).delete()  # no longer matches
    assert found == [keys[:2], keys[2:4], keys[4:]]
    assert Task.objects.count() == 1


def test_change_of_many_rows_costs_the_same_statements_for_each_batch(
    act, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(batch, "BATCH_SIZE", 10)
    later = datetime.now(timezone.utc) + HOUR
    Task.objects.bulk_create(
        Task(task_name="many", task_params="[[],{}]", task_hash="h", run_at=later)
        for _ in range(40)
    )
    with django_assert_max_num_queries(7 * 4 + 4):
        run_now(None, None, Task.objects.all())
    assert not Task.objects.filter(run_at__gte=later).exists()


def test_actions_called_by_code_without_a_request_leave_no_trace():
    task = add()
    inc_priority(None, None, Task.objects.all())
    assert Task.objects.get(pk=task.pk).priority == 1
    assert not LogEntry.objects.exists()
