"""``check_health`` and the command ``background_task_health``: answers, exit codes, cost."""

import json
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from background_task.exceptions import InvalidOptionError
from background_task.health import Thresholds, check_health
from background_task.management.commands import background_task_health as command
from background_task.models import Pause, Task, Worker
from background_task.rollup import Tally
from background_task.store import Fleet, get_store
from background_task.store.rollups import Rollups
from tests.process import django_process
from tests.store.rows import LEASE, add, statements, worker

COMMAND = "background_task_health"


@pytest.fixture
def store(db):
    return get_store()


def add_old(store, *, seconds, now=None, **values):
    """Add a row that has been due, and there, for so long."""
    task = add(store, now=now, due_in=-seconds, **values)
    Task.objects.filter(pk=task.pk).update(enqueued_at=task.run_at)


def answers(**thresholds):
    health = check_health(Thresholds(**thresholds))
    return {check.name: check for check in health.checks}


def run(*arguments):
    """Run the command here; its exit code and its output."""
    output, code = StringIO(), 0
    try:
        call_command(COMMAND, *arguments, stdout=output, no_color=True)
    except SystemExit as end:
        code = end.code
    return code, output.getvalue()


# -- answers ---------------------------------------------------------------------------------------


def test_nothing_to_do_and_a_worker_is_healthy(store):
    worker("w", now=store.now())
    health = check_health()
    assert health.is_healthy
    assert [check.name for check in health.checks] == ["wait", "workers"]


def test_wait_is_that_of_the_oldest_due_task(store):
    now = store.now()
    for queue, seconds in ((None, 30), ("mail", 400), ("slow", 100)):
        add_old(store, now=now, queue=queue, seconds=seconds)
    add(store, now=now, due_in=3600)
    (check,) = check_health(Thresholds(min_workers=None), now=now).checks
    assert (check.is_healthy, check.value, check.threshold) == (False, 400, 300)
    assert check.text == "the oldest due task has waited for 400 s, in queue mail (at most 300 s)"
    for queue, value in (("slow", 100), ("", 30), ("none", None)):
        assert answers(queue=queue, max_wait=200)["wait"].is_healthy
        (check,) = check_health(Thresholds(queue=queue, min_workers=None), now=now).checks
        assert check.value == value


def test_what_is_in_a_paused_queue_is_meant_to_wait(store):
    add_old(store, seconds=400)
    assert not answers()["wait"].is_healthy
    Pause.objects.create(kind=Pause.QUEUE, name="", paused_at=store.now())
    assert answers()["wait"].is_healthy


def test_failed_share_is_of_what_has_ended_lately(store):
    now = store.now()
    rollups = Rollups(store.using)
    rollups.add({("f", None): Tally(succeeded=90, failed=10)}, now=now)
    rollups.add({("f", "mail"): Tally(failed=10)}, now=now)
    rollups.add({("f", None): Tally(failed=500)}, now=now - timedelta(hours=1))
    assert answers(max_failed_share=0.2)["failed-share"].is_healthy
    check = answers(max_failed_share=0.15)["failed-share"]
    assert not check.is_healthy
    assert check.value == pytest.approx(20 / 110)
    assert answers(max_failed_share=0.1, queue="")["failed-share"].is_healthy
    assert not answers(max_failed_share=0.9, queue="mail")["failed-share"].is_healthy
    assert not answers(max_failed_share=0.5, window=7200)["failed-share"].is_healthy


def test_failed_share_of_few_tasks_says_nothing(store):
    Rollups(store.using).add({("f", None): Tally(failed=9)}, now=store.now())
    check = answers(max_failed_share=0.0)["failed-share"]
    assert (check.is_healthy, check.value) == (True, None)
    assert not answers(max_failed_share=0.0, least_ended=9)["failed-share"].is_healthy


def test_dead_workers_are_those_that_have_not_said_goodbye(store):
    now, fleet = store.now(), Fleet(store.using)
    for name in ("alive", "gone"):
        worker(name, now=now)
    fleet.retire("gone", now=now + timedelta(seconds=1))
    assert answers(max_dead=0)["dead-workers"].is_healthy
    for name in ("silent", "declared", "long ago"):
        worker(name, now=now - 2 * LEASE)
    fleet.declare_dead(["declared"], now=now)
    fleet.declare_dead(["long ago"], now=now - LEASE / 2)
    check = answers(max_dead=1)["dead-workers"]
    assert (check.is_healthy, check.value) == (False, 3)
    assert answers(max_dead=2, window=20)["dead-workers"].is_healthy


def test_workers_are_those_that_are_alive_and_serve_the_queue(store):
    now = store.now()
    worker("silent", now=now - 2 * LEASE)
    assert not answers()["workers"].is_healthy
    assert answers(min_workers=0)["workers"].is_healthy
    worker("w", now=now)
    Worker.objects.filter(name="w").update(queues="mail:3, slow")
    assert answers()["workers"].is_healthy
    assert answers(queue="mail")["workers"].is_healthy
    assert not answers(queue="")["workers"].is_healthy
    assert not answers(queue="other")["workers"].is_healthy


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_wait": -1}, "max_wait -1 is no threshold; use 0 or more"),
        ({"max_wait": float("nan")}, "max_wait nan is no threshold"),
        ({"max_dead": -1}, "max_dead -1"),
        ({"max_failed_share": 10}, "max_failed_share 10 is no part of a whole; use 0 to 1"),
        ({"window": 0}, "window 0 is not a time to look back at"),
        ({"window": 10**6}, "up to 7 days"),
    ],
)
def test_threshold_that_cannot_be_is_refused(given, said):
    with pytest.raises(InvalidOptionError, match=said):
        Thresholds(**given)


def test_health_takes_a_few_statements(store):
    now = store.now()
    add(store, now=now)
    worker("w", now=now)
    with statements() as made:
        health = check_health(Thresholds(max_failed_share=1, max_dead=0))
    assert len(health.checks) == 4
    assert len(made.all) <= 12


# -- the command -----------------------------------------------------------------------------------


def test_healthy_exits_with_0(store):
    worker("w", now=store.now())
    assert run() == (
        0,
        "ok   no task is due and waits\nok   1 worker is alive (at least 1)\n",
    )


def test_unhealthy_exits_with_1_and_says_what(store):
    add_old(store, seconds=1000)
    code, output = run("--max-wait", "60", "--max-dead", "0")
    assert code == 1
    assert re.search(r"BAD  the oldest due task has waited for 1\d{3} s, in the unnamed", output)
    assert "ok   0 workers have died within 900 s (at most 0)" in output
    assert "BAD  0 workers are alive (at least 1)" in output


def test_json_is_for_programs(store):
    code, output = run("--json", "--min-workers", "2")
    found = json.loads(output)
    assert (code, found["status"], set(found)) == (1, "unhealthy", {"status", "at", "checks"})
    assert found["checks"][1] == {
        "name": "workers",
        "is_healthy": False,
        "value": 0,
        "threshold": 2,
        "text": "0 workers are alive (at least 2)",
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_database_that_is_away_exits_with_2(monkeypatch, arguments):
    def fail(*args, **kwargs):
        raise OperationalError("could not\nconnect")

    monkeypatch.setattr(command, "check_health", fail)
    code, output = run(*arguments)
    assert code == 2
    assert "could not connect" in output
    if arguments:
        assert json.loads(output)["status"] == "unknown"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-failed-share", "7"], "--max-failed-share 7 is no part of a whole"),
        (["--max-wait", "-1"], "--max-wait -1 is no threshold"),
        (["--max-wait=-1e-5"], "--max-wait -0.00001 is no threshold"),
        (["--max-dead", "-" + "9" * 400], "--max-dead -9999"),
        (["--window", "1e8"], "--window 100000000 is not a time to look back at"),
        (["--database", "nowhere"], "--database nowhere: DATABASES has no such alias"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments, said):
    with pytest.raises(CommandError, match=said) as caught:
        call_command(COMMAND, *arguments)
    assert caught.value.returncode == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--min-workers", "x"), 2)])
def test_shell_learns_the_answer(arguments, code):
    with django_process(COMMAND, *arguments) as process:
        assert process.wait() == code, process.output
