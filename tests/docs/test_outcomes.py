"""The table of what happens when …: its lines are played, and have to come out as they say."""

from datetime import timedelta

import pytest
from django.utils import timezone

from background_task import signals
from background_task.exceptions import (
    AlreadyScheduledError,
    Discard,
    InvalidTaskError,
    RetryLater,
    Snooze,
    StopNow,
    TaskTimeout,
)
from background_task.models import CompletedTask, Task, Worker
from background_task.store import get_store
from background_task.tasks import tasks
from background_task.worker.recovery import recover
from tests.app.models import TextOwner
from tests.docs.conftest import SIGNALS
from tests.docs.pages import ROOT, tables
from tests.store.rows import LEASE, worker

pytestmark = pytest.mark.django_db(transaction=True)

LINES = {
    line["When a task …"]: line
    for table in tables(ROOT / "docs" / "outcomes.md")
    for line in table
    if "When a task …" in line
}
CHAINS, CONFLICTS = (
    {next(iter(line.values())): line for line in table}
    for table in tables(ROOT / "docs" / "outcomes.md")[1:]
)
HOUR = timedelta(hours=1)
LAST = {"max_attempts": 1}

#: What a function raises, and the options under which it does.
RAISED = {
    "raises, with attempts left": (ValueError(), {}),
    "raises on its last attempt": (ValueError(), LAST),
    "raises what `retry_on` lists": (KeyError(), {"retry_on": LookupError}),
    "raises what `retry_on` does not list": (ValueError(), {"retry_on": LookupError}),
    "raises what `discard_on` lists": (KeyError(), {"discard_on": LookupError, **LAST}),
    "raises `Discard`": (Discard("x"), LAST),
    "raises `InvalidTaskError`": (InvalidTaskError("x"), {"retry_on": InvalidTaskError}),
    "raises `RetryLater`": (RetryLater(60), {}),
    "raises `RetryLater` on its last attempt": (RetryLater(60), LAST),
    "raises `RetryLater` with `spend_attempt=False`": (RetryLater(60, spend_attempt=False), LAST),
    "raises `Snooze`": (Snooze(60), LAST),
    "takes longer than `timeout`, with attempts left": (TaskTimeout("x"), {}),
    "takes longer than `timeout` on its last attempt": (TaskTimeout("x"), LAST),
    "is interrupted, because its worker has to stop": (StopNow(), LAST),
    "fails for good": (ValueError(), LAST),
    "fails for good, with `repeat_on_failure=True`": (
        ValueError(),
        {"repeat_on_failure": True, **LAST},
    ),
}


class Play:
    """One run of a repeating task, and what becomes of row, attempt and chain.

    Args:
        raised: What the function raises; None if it returns.
        options: Those of the decorator.
        using: Those of the call.
    """

    def __init__(self, raised=None, *, returned=None, using=None, **options):
        def function(*args):
            if raised is not None:
                raise raised
            return returned

        self.function = tasks.background(name="docs.play", **options)(function)
        self.due = timezone.now() - 3 * HOUR - timedelta(minutes=20)
        self.using = {"schedule": self.due, "repeat": 3600, **(using or {})}
        self.signals = []

    def call(self, *args):
        self.row = self.function.using(**self.using)(*args)
        return self.row

    def run(self):
        """Run it once, noting the signals."""
        self._note(tasks.run_next_task)

    def lose(self):
        """Let a worker claim it and die, and another find out."""
        store = get_store()
        worker("dead", now=store.now() - 2 * LEASE)
        assert store.claim_one(self.row.pk, "dead")
        self._note(lambda: recover(store, registry=tasks._tasks))
        Worker.objects.all().delete()

    def discard(self):
        """Do as somebody who does not want this run."""
        self._note(lambda: get_store().discard(self.row.pk))

    def _note(self, act):
        def receive(signal, **kwargs):
            self.signals += [name for name, value in SIGNALS.items() if value is signal]

        for signal in SIGNALS.values():
            signal.connect(receive)
        act()

    def check(self, line):
        """Compare what has come of it with a line of the table."""
        done = CompletedTask.objects.filter(uid=self.row.uid).first()
        live = Task.objects.filter(uid=self.row.uid).first()
        row = done or live
        assert (done is None) != (live is None)
        is_spent = row.attempts == self.row.attempts + 1
        assert line["Attempt"] == ("spent" if is_spent else "not spent")
        assert line["Signals"] == ", ".join(name.removeprefix("task_") for name in self.signals)
        said = line["The row"].partition(";")[0].partition(",")[0].split()
        if live is not None:
            assert said[0] == "waits"
            assert line["Chain"] == "same run"
            assert live.locked_by is None
            return
        kind = ["as", "failed"] if done.failed_at else ["as", "discarded"]
        expected = kind if done.failed_at or done.discarded_at else []
        assert said[:3] == ["archived", *expected]
        following = Task.objects.filter(task_name=row.task_name).first()
        assert line["Chain"].startswith("goes on") == (following is not None)


@pytest.mark.parametrize("when", RAISED)
def test_task_that_raises_comes_out_as_the_table_says(when):
    raised, options = RAISED[when]
    play = Play(raised, **options)
    play.call()
    play.run()
    play.check({**LINES, **CHAINS}[when])


def test_task_that_returns_comes_out_as_the_table_says():
    play = Play(returned=1)
    play.call()
    play.run()
    play.check(LINES["returns"])


def test_task_that_returns_what_cannot_be_kept_comes_out_as_the_table_says():
    play = Play(returned=object())
    play.call()
    play.run()
    play.check(LINES["returns what is too large, or has no stored form"])


def test_task_that_comes_too_late_comes_out_as_the_table_says():
    play = Play(expires=60)
    play.call()
    play.run()
    play.check(LINES["is not started before `expires`"])


def test_task_that_is_discarded_while_it_waits_comes_out_as_the_table_says():
    play = Play()
    play.call()
    play.discard()
    play.check(LINES["is discarded [in the admin](admin.md#actions) while it waits"])


def test_task_that_has_had_its_attempts_comes_out_as_the_table_says():
    play = Play(max_attempts=3)
    play.call()
    Task.objects.update(attempts=3)
    play.row.attempts = 3
    play.run()
    play.check(LINES["has had as many attempts as are now allowed"])


def test_task_with_broken_arguments_comes_out_as_the_table_says():
    play = Play()
    play.call()
    Task.objects.update(task_params="[")
    play.run()
    assert "InvalidPayloadError" in CompletedTask.objects.get().last_error
    play.check(LINES["has broken arguments"])


def test_task_of_a_vanished_instance_comes_out_as_the_table_says():
    play, owner = Play(), TextOwner.objects.create(code="owner")
    play.call(owner)
    TextOwner.objects.all().delete()
    play.run()
    assert "VanishedInstanceError" in CompletedTask.objects.get().last_error
    play.check(LINES["has a model instance as argument that has vanished"])


def test_task_of_an_unknown_function_comes_out_as_the_table_says():
    play = Play()
    play.call()
    del tasks._tasks["docs.play"]
    play.run()
    play.check(LINES["calls a function that no worker knows"])


@pytest.mark.parametrize(
    ("when", "options"),
    [
        ("is killed with its worker, with attempts left", {}),
        ("is killed with its worker on its last attempt", LAST),
        ("with `atomic=True` is killed, with attempts left", {"atomic": True}),
    ],
)
def test_task_that_is_lost_comes_out_as_the_table_says(when, options):
    play = Play(**options)
    play.call()
    play.lose()
    play.check(LINES[when])


def test_task_that_is_deleted_comes_out_as_the_table_says():
    play = Play()
    play.function.task_function = lambda: Task.objects.all().delete()
    play.call()
    play.run()
    line = LINES["is deleted while it runs"]
    assert line["Signals"] == ", ".join(name.removeprefix("task_") for name in play.signals)
    assert not Task.objects.exists()
    assert not CompletedTask.objects.exists()


MISSED = 'missed runs, with `catch_up="{}"`'


@pytest.mark.parametrize(
    ("when", "using", "following"),
    [
        ("has had `repeat_count` runs", {"repeat_count": 1}, None),
        ("has no occurrence left up to `repeat_until`", {"repeat_until": timezone.now()}, None),
        (MISSED.format("skip"), {}, 4),
        (MISSED.format("one"), {"catch_up": "one"}, 3),
        (MISSED.format("all"), {"catch_up": "all"}, 1),
    ],
)
def test_chain_comes_out_as_the_table_says(when, using, following):
    play = Play(using=using)
    play.call()
    play.run()
    play.check(CHAINS[when])
    found = Task.objects.values_list("run_at", flat=True).first()
    assert found == (None if following is None else play.due + following * HOUR)


@pytest.mark.parametrize("broken", [{"repeat_rule": "now and then"}, {"options": '{"runs":"x"}'}])
def test_chain_that_cannot_be_read_comes_out_as_the_table_says(broken):
    play = Play()
    play.call()
    Task.objects.update(**broken)
    play.run()
    play.check(CHAINS["has a rule or a count that this version cannot read"])


@pytest.mark.parametrize("on_conflict", ["skip", "raise", "replace", "extend"])
def test_call_that_finds_its_key_taken_comes_out_as_the_table_says(on_conflict):
    play = Play(unique=True, on_conflict=on_conflict)
    before = play.call()
    Task.objects.update(attempts=2)
    created = []
    signals.task_created.connect(lambda task, **kwargs: created.append(task), weak=False)
    call = play.function.using(schedule=before.run_at + HOUR)
    line = CONFLICTS[f'with `on_conflict="{on_conflict}"`']
    try:
        assert (call() is None) == (on_conflict != "replace")
    except AlreadyScheduledError:
        assert "raises `AlreadyScheduledError`" in line["The row that waits"]
    row = Task.objects.get()
    assert line["The row that waits"].startswith("stays") == (row.run_at == before.run_at)
    assert line["Its attempts"].startswith("as they were") == (row.attempts == 2)
    assert line["Its chain"].startswith("is over") == (row.repeat == 0)
    assert line["Signals"] == ", ".join("created" for _ in created)
