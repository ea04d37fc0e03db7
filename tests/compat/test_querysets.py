"""Section 3: managers and querysets; QuerySetManagerTestCase and PriorityTestCase of section 15."""

from datetime import timedelta

import pytest
from django.test.utils import isolate_apps
from django.utils import timezone

from background_task.models import CompletedTask, Task, TaskManager, TaskQuerySet
from background_task.tasks import tasks
from tests.app.models import TextOwner
from tests.compat.running import Recording

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mode")]


def new(name="name", args=(), **fields):
    """A saved row; fields that ``new_task`` does not take are set on it."""
    task = Task.objects.new_task(name, args)
    for field, value in fields.items():
        setattr(task, field, value)
    task.save()
    return task


def ago(**span):
    return timezone.now() - timedelta(**span)


def test_read_manager_and_queryset_have_old_classes():
    assert type(Task.objects) is TaskManager
    assert isinstance(Task.objects.all(), TaskQuerySet)
    assert type(CompletedTask.objects.all()).__name__ == "CompletedTaskQuerySet"
    assert Task.objects.using("default").db == "default"


def test_created_by_finds_rows_of_that_creator_only(django_user_model):
    first = django_user_model.objects.create(username="first")
    second = django_user_model.objects.create(username="second")
    other_model = TextOwner.objects.create(code=str(first.pk))
    task = new(creator=first)
    new(creator=second)
    new(creator=other_model)
    new()
    done = task.create_completed_task()
    new(creator=second).create_completed_task()
    assert list(Task.objects.created_by(first)) == [task]
    assert list(Task.objects.all().created_by(first)) == [task]
    assert list(CompletedTask.objects.created_by(first)) == [done]


def test_created_by_proxy_model_finds_rows_of_the_concrete_one(django_user_model):
    with isolate_apps("tests.app"):

        class ProxyUser(django_user_model):
            class Meta:
                proxy = True
                app_label = "testapp"

    user = django_user_model.objects.create(username="creator")
    task = new(creator=user)
    assert list(Task.objects.created_by(ProxyUser.objects.get())) == [task]


def test_find_available_leaves_out_locked_failed_and_future_rows():
    due = new()
    new(run_at=timezone.now() + timedelta(minutes=5))
    new(failed_at=timezone.now())
    new().lock("somebody")
    assert list(Task.objects.find_available()) == [due]


def test_find_available_takes_in_rows_locked_longer_than_max_run_time(settings):
    settings.MAX_RUN_TIME = 60
    expired = new(locked_by="somebody", locked_at=ago(seconds=90))
    new(locked_by="somebody", locked_at=ago(seconds=30))
    assert list(Task.objects.find_available()) == [expired]


@pytest.mark.parametrize(
    ("queue", "found"),
    [(None, {"a", "b", None}), ("", {"a", "b", None}), ("a", {"a"}), ("c", set())],
)
def test_find_available_of_queue_filters_by_it_when_it_is_named(queue, found):
    for name in ("a", "b", None):
        new(queue=name)
    assert {task.queue for task in Task.objects.find_available(queue)} == found


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [(None, [99, 3, 0, -1]), ("DESC", [99, 3, 0, -1]), ("ASC", [-1, 0, 3, 99])],
)
def test_find_available_orders_by_priority_as_configured(settings, ordering, expected):
    if ordering is not None:
        settings.BACKGROUND_TASK_PRIORITY_ORDERING = ordering
    for priority in (0, 99, -1, 3):
        new(priority=priority)
    assert [task.priority for task in Task.objects.find_available()] == expected


def test_find_available_with_equal_priority_orders_by_time():
    later = new(run_at=ago(seconds=10))
    sooner = new(run_at=ago(seconds=20))
    urgent = new(run_at=ago(seconds=5), priority=1)
    assert list(Task.objects.find_available()) == [urgent, sooner, later]


def test_find_available_is_a_queryset_that_can_be_refined():
    found = Task.objects.find_available()
    assert (found.count(), found.first()) == (0, None)
    task = new(priority=5)
    new(priority=-5)
    found = Task.objects.find_available()
    assert (found.count(), found.first()) == (2, task)


@pytest.mark.django_db(transaction=True)
def test_run_priorities_of_any_size_runs_high_to_low(runs):
    recording = Recording()
    proxy = tasks.background(name="prioritised")(recording)
    for priority in (0, -1, 99, 100000, -100000):
        assert proxy(priority, priority=priority).priority == priority
    assert runs.all() == 5
    assert [args[0] for args, _ in recording.calls] == [100000, 99, 0, -1, -100000]


def test_locked_and_unlocked_split_the_rows():
    free, held = new(), new().lock("somebody")
    now = timezone.now()
    assert list(Task.objects.unlocked(now)) == [free]
    assert list(Task.objects.locked(now)) == [held]


def test_failed_of_live_rows_finds_those_with_failed_at():
    new()
    failed = new(failed_at=timezone.now())
    assert list(Task.objects.failed()) == [failed]


def test_new_task_is_not_saved():
    task = Task.objects.new_task("n", (1,), {"k": 2})
    assert task.pk is None
    assert not Task.objects.exists()


def test_new_task_without_options_has_defaults():
    task = Task.objects.new_task("n")
    assert task.params() == ([], {})
    assert abs((task.run_at - timezone.now()).total_seconds()) < 5
    assert (task.priority, task.queue, task.verbose_name) == (0, None, None)
    assert (task.creator, task.repeat, task.repeat_until) == (None, Task.NEVER, None)


def test_new_task_takes_options_by_position(django_user_model):
    user = django_user_model.objects.create(username="creator")
    moment = timezone.now() + timedelta(days=1)
    task = Task.objects.new_task("n", (1,), {"k": 2}, moment, 3, "q", "v", user, 60, moment, False)
    task.save()
    stored = Task.objects.get()
    assert (stored.task_name, stored.params()) == ("n", ([1], {"k": 2}))
    assert (stored.run_at, stored.priority, stored.queue) == (moment, 3, "q")
    assert (stored.verbose_name, stored.creator) == ("v", user)
    assert (stored.repeat, stored.repeat_until) == (60, moment)


def test_get_task_finds_rows_of_every_queue_with_these_arguments():
    rows = {new("n", (1,)), new("n", (1,), queue="q")}
    new("n", (2,))
    new("m", (1,))
    assert set(Task.objects.get_task("n", (1,))) == rows
    assert set(Task.objects.get_task("n", [1], {})) == rows
    assert not Task.objects.get_task("n").exists()


def test_drop_task_deletes_these_rows_and_counts_them():
    new("n", (1,))
    new("n", (1,), queue="q")
    kept = new("n", (2,))
    count, per_model = Task.objects.drop_task("n", (1,))
    assert count == 2
    assert per_model == {"background_task.Task": 2}
    assert list(Task.objects.all()) == [kept]


@pytest.fixture
def archive(django_user_model):
    """Completed rows: succeeded and failed, recent and old, of one creator and of nobody."""
    user = django_user_model.objects.create(username="creator")
    rows = {}
    for outcome in ("succeeded", "failed"):
        for age, moment in (("recent", ago(minutes=1)), ("old", ago(days=3))):
            for owner in (None, user):
                done = new(creator=owner).create_completed_task()
                done.run_at = moment
                done.failed_at = moment if outcome == "failed" else None
                done.save()
                rows[outcome, age, owner is not None] = done
    return user, rows


def picked(rows, outcome, ages, owned=(True, False)):
    return {
        row
        for (its_outcome, age, is_owned), row in rows.items()
        if its_outcome == outcome and age in ages and is_owned in owned
    }


@pytest.mark.parametrize("outcome", ["failed", "succeeded"])
def test_filter_completed_by_outcome_and_age(archive, outcome):
    _, rows = archive
    method = getattr(CompletedTask.objects, outcome)
    assert set(method()) == picked(rows, outcome, ("recent", "old"))
    assert set(method(within=timedelta(days=1))) == picked(rows, outcome, ("recent",))
    assert set(method(timedelta(days=9))) == picked(rows, outcome, ("recent", "old"))


@pytest.mark.parametrize("outcome", ["failed", "succeeded"])
def test_filter_completed_by_creator_chains_in_either_order(archive, outcome):
    user, rows = archive
    within = timedelta(days=1)
    first = getattr(CompletedTask.objects.created_by(user), outcome)(within=within)
    second = getattr(CompletedTask.objects, outcome)(within=within).created_by(user)
    assert set(first) == set(second) == picked(rows, outcome, ("recent",), (True,))
