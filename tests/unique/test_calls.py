"""What becomes of a call whose key another task has."""

import re
from datetime import timedelta

import pytest
from django.db import transaction

from background_task import AlreadyScheduledError, background
from background_task.attempt import Discarded, Failed, Released, Retry, Succeeded
from background_task.exceptions import InvalidOptionError
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.signals import task_created
from background_task.tasks import Tasks
from background_task.uniqueness import KEPT
from tests.store.rows import everything, statements
from tests.unique.rows import LATER, NAMES, SOON, keys, sync, unique, waiting

pytestmark = pytest.mark.django_db(transaction=True)
WAYS = pytest.mark.parametrize("on_conflict", ["skip", "replace", "raise", "extend"])
UNTIL = pytest.mark.parametrize("until", ["start", "finish"])


@pytest.fixture(params=["own", "in a transaction"], autouse=True)
def around(request):
    """Callers are in a transaction of their own, or not."""
    if request.param == "own":
        yield
    else:
        with transaction.atomic():
            yield


def claim(store, **options):
    (claim,) = store.claim("w", NAMES, limit=5, **options)
    return claim


@WAYS
@UNTIL
def test_call_whose_key_is_free_adds_a_row(until, on_conflict):
    call = unique(unique_until=until, on_conflict=on_conflict)
    tasks = [call(7), call(8), call(7, "some")]
    assert list(waiting().order_by("pk")) == tasks
    assert len(keys()) == 3
    assert [KEPT in (task.options or "") for task in tasks] == [until == "finish"] * 3


@UNTIL
def test_skip_keeps_the_waiting_row_as_it_is(until):
    call = unique(unique_until=until)
    call(7, schedule=SOON)
    before = everything()
    assert call(7, schedule=LATER) is None
    assert call(user_id=7, kind="all", priority=5) is None
    assert everything() == before


@UNTIL
def test_raise_changes_nothing_and_says_who_has_the_key(until):
    call = unique(unique_until=until, on_conflict="raise")
    task = call(7, schedule=SOON)
    before = everything()
    with pytest.raises(AlreadyScheduledError, match=r"^known is .*: task .* waits and") as caught:
        call(7)
    assert caught.value.uid == task.uid
    assert str(task.uid) in str(caught.value)
    assert everything() == before


@UNTIL
def test_replace_puts_the_new_call_in_the_place_of_the_waiting_row(until):
    call = unique(unique="user_id", unique_until=until, on_conflict="replace")
    old = call(7, "old", schedule=SOON, priority=3, queue="q")
    new = call(7, "new", schedule=LATER)
    (row,) = Task.objects.all()
    assert (row.pk, row.uid) == (new.pk, new.uid)
    assert new.uid != old.uid
    assert row.params() == ([7, "new"], {})
    assert (row.run_at, row.priority, row.queue) == (LATER, 0, None)


@UNTIL
def test_extend_gives_the_waiting_row_time_priority_and_arguments_of_the_new_call(until):
    call = unique(unique="user_id", unique_until=until, on_conflict="extend")
    old = call(7, "old", schedule=SOON, priority=3, queue="q", verbose_name="v")
    assert call(7, "new", schedule=LATER, queue="other", verbose_name="other") is None
    (row,) = Task.objects.all()
    assert (row.pk, row.uid, row.enqueued_at) == (old.pk, old.uid, old.enqueued_at)
    assert row.params() == ([7, "new"], {})
    assert row == Task.objects.get_task("known", [7, "new"]).get()
    assert (row.run_at, row.priority) == (LATER, 0)
    assert (row.queue, row.verbose_name) == ("q", "v")
    assert call(7, schedule=SOON) is None
    assert Task.objects.get().run_at == SOON


@WAYS
def test_queue_is_no_part_of_the_key(on_conflict):
    call = unique(on_conflict=on_conflict)
    call(7, queue="a", schedule=SOON)
    for queue in ("b", None):
        if on_conflict == "raise":
            with pytest.raises(AlreadyScheduledError):
                call(7, queue=queue)
        else:
            call(7, queue=queue)
    assert Task.objects.count() == 1


def test_call_that_is_not_unique_does_not_see_the_others():
    call = unique()
    plain = call.using(unique=False)
    assert None not in [call(7), plain(7), plain(7)]
    assert call(7) is None
    assert waiting().count() == 3
    assert len(keys()) == 1


@UNTIL
def test_rules_of_another_until_meet_on_the_same_key(until):
    """A function whose rule has changed while rows of the old rule wait."""
    unique(unique_until=until)(7)
    for other in ("start", "finish"):
        assert unique(unique_until=other)(7) is None


# -- until when ------------------------------------------------------------------------------------


def test_key_until_start_is_free_as_soon_as_the_task_is_claimed(store):
    call = unique(schedule=-60)
    call(7)
    assert claim(store)
    assert keys() == []
    assert call(7) is not None
    assert call(7) is None


@pytest.mark.parametrize("outcome", [Retry("e", timedelta(0)), Released("stop")], ids=repr)
def test_key_until_start_stays_free_when_the_task_is_to_run_again(store, outcome):
    call = unique(schedule=-60)
    call(7)
    store.finish(claim(store), outcome)
    assert keys() == []
    assert call(7) is not None
    assert waiting().count() == 2


@WAYS
@pytest.mark.parametrize("is_one", [False, True], ids=["claim", "claim_one"])
def test_key_until_finish_is_kept_by_a_running_task_which_nothing_touches(
    store, on_conflict, is_one
):
    call = unique(unique_until="finish", schedule=-60, on_conflict=on_conflict)
    task = call(7)
    assert store.claim_one(task.pk, "w") if is_one else claim(store)
    before = everything()
    if on_conflict == "raise":
        with pytest.raises(AlreadyScheduledError, match=f"task {task.uid} runs and"):
            call(7)
    else:
        assert call(7, schedule=LATER) is None
    assert everything() == before


def test_key_until_finish_is_kept_by_a_row_locked_by_hand():
    call = unique(unique_until="finish", schedule=-60)
    assert call(7).lock("somebody") is not None
    assert call(7) is None


@pytest.mark.parametrize("outcome", [Retry("e", timedelta(hours=1)), Released("stop")], ids=repr)
def test_key_until_finish_is_kept_between_attempts_and_the_waiting_row_may_be_moved(store, outcome):
    call = unique(unique_until="finish", schedule=-60)
    task = call(7)
    store.finish(claim(store), outcome)
    attempts = Task.objects.get().attempts
    assert call(7) is None
    assert call.using(on_conflict="extend")(7, schedule=LATER) is None
    (row,) = Task.objects.all()
    assert (row.pk, row.run_at, row.attempts) == (task.pk, LATER, attempts)
    assert call.using(on_conflict="replace")(7) is not None
    assert Task.objects.get().attempts == 0


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("outcome", [Succeeded(), Failed("e"), Discarded("d")], ids=repr)
def test_key_until_finish_is_free_when_the_task_is_archived(store, outcome, reduced):
    call = unique(unique_until="finish", schedule=-60)
    call(7)
    assert store.finish(claim(store), outcome, reduced=reduced)
    assert CompletedTask.objects.count() == 1
    assert call(7) is not None


def test_key_until_finish_is_free_when_the_task_is_archived_with_others(any_store):
    call = unique(unique_until="finish", schedule=-60)
    for number in range(3):
        call(number)
    claims = any_store.claim("w", NAMES, limit=3)
    assert None not in any_store.finish_many([(claim, Succeeded()) for claim in claims])
    assert [call(number) is not None for number in range(3)] == [True] * 3


@UNTIL
def test_key_is_free_when_the_row_is_deleted(until):
    call = unique(unique_until=until)
    call(7).delete()
    assert call(7) is not None


@WAYS
@UNTIL
def test_key_of_a_row_that_is_marked_as_failed_is_free(store, until, on_conflict):
    """Nobody will run it: the archive has refused it."""
    call = unique(unique_until=until, schedule=-60, on_conflict=on_conflict)
    task = call(7)
    store.bury(claim(store), Succeeded())
    buried = Task.objects.filter(pk=task.pk).values().get()
    assert call(7) is not None
    assert Task.objects.count() == 2
    assert Task.objects.filter(pk=task.pk).values().get() == {**buried, "unique_key": None} or (
        buried["unique_key"].startswith(keys()[0])  # where the index does not tell them apart
    )


@WAYS
def test_key_until_start_of_a_row_that_version_1x_has_locked_is_free(on_conflict):
    call = unique(on_conflict=on_conflict)
    task = call(7)
    Task.objects.filter(pk=task.pk).update(locked_by="4711", locked_at=SOON)
    assert call(7) is not None
    assert Task.objects.count() == 2


# -- other ways in ---------------------------------------------------------------------------------


def test_using_changes_the_rule_of_its_calls_only():
    call = Tasks().background(name="known")(sync)
    once = call.using(unique="user_id")
    assert [once(7, "a") is None, once(7, "b") is None, call(7, "a") is None] == [
        False, True, False,
    ]  # fmt: skip
    with pytest.raises(AlreadyScheduledError):
        once.using(on_conflict="raise", queue="q")(7)
    assert once.using(unique=True)(7, "b") is not None


def test_using_carries_the_other_options_of_the_row():
    call = unique(unique_until="finish").using(max_attempts=3, queue="q")
    task = call(7)
    assert task.queue == "q"
    assert '"max":3' in task.options
    assert KEPT in task.options


def test_spec_with_a_key_needs_no_decorated_function():
    function = unique()
    key = function.uniqueness.key(function._parameters, (7,), {})
    spec = TaskSpec("known", ("anything",), unique=key)
    assert enqueue(spec, sender=Task) is not None
    assert enqueue(spec, sender=Task) is None
    assert unique()(7) is None


@pytest.mark.parametrize(
    "older",
    [
        {"remove_existing_tasks": True},
        {"schedule": {"action": TaskSchedule.CHECK_EXISTING}},
        {"schedule": TaskSchedule(action=TaskSchedule.RESCHEDULE_EXISTING)},
    ],
    ids=["remove", "check", "reschedule"],
)
def test_two_rules_for_one_thing_are_refused_wherever_they_meet(older):
    message = re.escape("both say what becomes of a waiting task; use unique with on_conflict=")
    for act in (
        lambda: unique(**older),
        lambda: unique()(7, **older),
        lambda: unique().using(**older),
        lambda: unique().bulk([((7,), {})], **older),
        lambda: Tasks().background(name="known", **older)(sync).using(unique=True),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            act()
    assert not Task.objects.exists()


def test_call_that_the_function_does_not_take_is_refused_before_its_key_is_made():
    def by(user_id):
        raise AssertionError("not to be called")

    with pytest.raises(TypeError, match="known cannot be called so"):
        unique(unique=by)(1, 2, 3)


def test_task_created_is_sent_for_what_was_added_only():
    created = []
    receive = lambda sender, task, **kwargs: created.append(task)  # noqa: E731
    task_created.connect(receive)
    try:
        added = [unique()(7), unique(on_conflict="replace")(7)]
        unique()(7)
        unique(on_conflict="extend")(7)
    finally:
        task_created.disconnect(receive)
    assert created == added


@pytest.mark.parametrize(
    ("on_conflict", "expected"),
    [
        # The first call, and a second one that meets its row. MariaDB's callers take turns, and
        # look rows up before they lock them; SQLite locks by writing when in a transaction.
        ("skip", {"sqlite": (2, 1), "postgresql": (2, 1), "mariadb": (4, 1)}),
        ("raise", {"sqlite": (2, 1), "postgresql": (2, 1), "mariadb": (4, 1)}),
        ("extend", {"sqlite": (3, 1), "postgresql": (3, 1), "mariadb": (4, 3)}),
        ("replace", {"sqlite": (3, 4), "postgresql": (3, 3), "mariadb": (5, 5)}),
    ],
)
def test_call_takes_few_statements(settings, request, on_conflict, expected):
    call = unique(on_conflict=on_conflict)
    numbers = []
    for _ in range(2):
        with statements() as kept:
            try:
                call(7)
            except AlreadyScheduledError:
                assert on_conflict == "raise"
        numbers.append(len(kept.all))
    more = 1 if settings.DATABASE == "sqlite" and "in a transaction" in request.node.name else 0
    first, again = expected[settings.DATABASE]
    assert numbers[0] <= first + more
    assert numbers[1] <= again + more


def test_call_with_a_creator_is_as_unique_as_any(django_user_model):
    """Who sets a creator sets ``_state.db``; the row was then taken for a copy, without its key."""
    function = background(unique=True, name="unique with a creator")(lambda: None)
    creator = django_user_model.objects.create(username="somebody")
    first, second = function(creator=creator), function(creator=creator)
    assert first.unique_key
    assert second is None
    assert Task.objects.get().uid == first.uid
