"""Pairs of rivals for one row: one wins, the other has changed nothing."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.messages import get_messages

from background_task.admin import TaskAdmin, inc_priority
from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store import Fleet
from background_task.worker.heartbeat import Identity
from background_task.worker.recovery import recover
from tests.concurrency.conftest import LEASE
from tests.concurrency.rivals import contest, post_request

pytestmark = pytest.mark.slow

NAMES = ("known",)

# -- what rivals do: each is given the scene and returns something comparable ----------------------


def claiming(owner):
    def claim(scene):
        claims = scene.store.claim(owner, NAMES, limit=5)
        return [(claim.owner, claim.number, claim.attempts) for claim in claims]

    return claim


def claiming_one(owner):
    def claim_one(scene):
        claim = scene.store.claim_one(scene.pk, owner)
        return [] if claim is None else [(claim.owner, claim.number, claim.attempts)]

    return claim_one


def finishing(outcome, **options):
    def finish(scene):
        return scene.store.finish(scene.claim, outcome, **options) is not None

    return finish


def recovering(scene):
    return recover(scene.store)


def releasing(scene):
    return scene.store.release([scene.claim])


def releasing_and_claiming_again(scene):
    return (releasing(scene), claiming("x")(scene))


def locking(scene):
    return scene.task.lock("somebody") is not None


def raising_priority(scene):
    inc_priority(None, None, Task.objects.all())


def editing_priority(scene):
    """The admin's form, in which somebody changed the priority."""

    class Form:
        changed_data = ("priority",)

    request = post_request()
    try:
        task = Task.objects.get(pk=scene.pk)
    except Task.DoesNotExist:
        return "gone"
    task.priority = 77
    TaskAdmin(Task, admin.site).save_model(request, task, Form, change=True)
    warnings = [str(message) for message in get_messages(request)]
    if warnings:
        assert "finished or deleted meanwhile" in warnings[0]
        return "gone"
    return "saved"


def calling(**options):
    def call(scene):
        spec = TaskSpec("known", run_at=scene.later, **options)
        return enqueue(spec, sender=TaskSpec) is not None

    return call


CHECK = calling(action=TaskSchedule.CHECK_EXISTING)
MOVE = calling(action=TaskSchedule.RESCHEDULE_EXISTING)
REMOVE = calling(remove_existing_tasks=True)


def kind(value):
    return type(value).__name__


OUTCOMES = pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(),
        Failed("error"),
        Retry("error", timedelta(0)),
        Released("stopping"),
    ],
    ids=kind,
)

# -- claims ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [claiming, claiming_one])
def test_claim_against_claim_has_one_winner(scenes, first):
    def judge(outcome):
        (winner,) = [result for result in outcome.results if result]
        (row,) = outcome.tasks
        assert winner == [(row["locked_by"], 1, 0)]
        assert (row["claim_number"], row["attempts"]) == (1, 0)

    contest(scenes.waiting, first("a"), claiming("b"), judge)


def test_claim_of_a_row_left_behind_has_one_winner_and_counts_the_lost_attempt_once(scenes):
    def judge(outcome):
        (winner,) = [result for result in outcome.results if result]
        (row,) = outcome.tasks
        assert winner == [(row["locked_by"], 2, 1)]
        assert row["attempts"] == 1

    contest(scenes.given_up, claiming_one("a"), claiming_one("b"), judge)


def test_lock_against_claim_has_one_winner(scenes):
    def judge(outcome):
        is_locked, claims = outcome.results
        (row,) = outcome.tasks
        assert is_locked != bool(claims)
        assert row["locked_by"] == ("somebody" if is_locked else "w")
        assert row["claim_number"] == 1

    contest(scenes.waiting, locking, claiming("w"), judge)


def test_inc_priority_against_claim_undoes_nothing(scenes):
    def judge(outcome):
        claims, _ = outcome.results
        (row,) = outcome.tasks
        assert row["priority"] == 1
        assert row["locked_by"] == ("w" if claims else None)

    contest(scenes.waiting, claiming("w"), raising_priority, judge, may_skip=[])


def test_admin_edit_against_claim_undoes_nothing(scenes):
    def judge(outcome):
        claims, _ = outcome.results
        (row,) = outcome.tasks
        assert row["priority"] == 77
        assert row["locked_by"] == ("w" if claims else None)

    contest(scenes.waiting, claiming("w"), editing_priority, judge, may_skip=[])


# -- finishes --------------------------------------------------------------------------------------


@OUTCOMES
@pytest.mark.parametrize("reduced", [False, True])
def test_finish_against_recover_has_one_winner(scenes, outcome, reduced):
    def judge(end):
        is_finished, recovered = end.results
        assert is_finished != bool(recovered)
        if recovered:
            (row,) = end.tasks
            assert row["attempts"] == 1
            assert "was lost" in row["last_error"]
            assert end.completed == []

    def prepare():
        return scenes.abandoned(repeat=3600)

    contest(prepare, finishing(outcome, reduced=reduced), recovering, judge)


def test_finish_against_recover_at_the_last_attempt_archives_once(scenes, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1

    def judge(end):
        is_finished, recovered = end.results
        assert is_finished != bool(recovered)
        (completed,) = end.completed
        assert completed["attempts"] == 1
        assert completed["failed_at"] == bool(recovered)
        assert len(end.tasks) == (1 if is_finished else 0)  # the next repetition

    def prepare():
        return scenes.abandoned(repeat=3600)

    contest(prepare, finishing(Succeeded()), recovering, judge)


@OUTCOMES
def test_finish_against_the_same_finish_counts_once(scenes, outcome):
    def judge(end):
        assert sorted(end.results) == [False, True]
        is_archived = isinstance(outcome, Succeeded | Failed)
        assert len(end.completed) == (1 if is_archived else 0)
        assert len(end.tasks) == (0 if isinstance(outcome, Failed) else 1)

    def prepare():
        return scenes.held(repeat=3600)

    contest(prepare, finishing(outcome), finishing(outcome), judge)


def test_finish_against_another_outcome_of_the_same_claim_creates_one_repetition(scenes):
    def judge(end):
        assert sorted(end.results) == [False, True]
        assert len(end.completed) == 1
        assert [row["run_at"] for row in end.tasks] in ([], ["next"])

    def prepare():
        return scenes.held(repeat=3600)

    contest(prepare, finishing(Succeeded()), finishing(Failed("error")), judge)


@OUTCOMES
def test_late_finish_against_release_and_new_claim_changes_nothing(scenes, outcome):
    def judge(end):
        is_finished, (released, claims) = end.results
        assert is_finished != bool(released)
        if released:
            (row,) = end.tasks
            assert claims == [("x", 2, 0)]
            assert (row["locked_by"], row["claim_number"], row["attempts"]) == ("x", 2, 0)
            assert end.completed == []

    contest(scenes.held, finishing(outcome), releasing_and_claiming_again, judge)


def test_finish_against_admin_edit_archives_the_row_once(scenes):
    def judge(end):
        is_finished, _ = end.results
        assert is_finished
        assert end.tasks == []
        (completed,) = end.completed
        assert completed["priority"] in (0, 77)

    contest(scenes.held, finishing(Succeeded()), editing_priority, judge)


def test_retry_against_admin_edit_loses_neither(scenes):
    def judge(end):
        (row,) = end.tasks
        assert (row["priority"], row["attempts"], row["locked_by"]) == (77, 1, None)
        assert row["last_error"] == "error"

    contest(scenes.held, finishing(Retry("error", timedelta(0))), editing_priority, judge)


# -- leases ----------------------------------------------------------------------------------------


def renewing(scene):
    identity = Identity(Fleet(scene.store.using), queues="", capacity=1, lease=LEASE)
    identity.name = "w"
    identity.renew()
    return "kept" if identity.name == "w" else "renamed"


def test_renew_against_declaring_dead_has_one_winner(scenes):
    def declaring_dead(scene):
        return len(scene.store.left_behind())

    def judge(end):
        is_kept = {"worker": end.results[0] == "kept", "row": end.results[1] == 0}
        assert is_kept["worker"] == is_kept["row"]
        assert end.workers[0] == {"is_known": True, "has_stopped": not is_kept["worker"]}
        assert end.workers[1:] == (
            [] if is_kept["worker"] else [{"is_known": False, "has_stopped": False}]
        )

    contest(scenes.abandoned, renewing, declaring_dead, judge)


def test_renew_against_recover_has_one_winner(scenes):
    def judge(end):
        (row,) = end.tasks
        if end.results[0] == "kept":
            assert (end.results[1], row["locked_by"], row["attempts"]) == (0, "w", 0)
        else:
            assert (end.results[1], row["locked_by"], row["attempts"]) == (1, None, 1)

    contest(scenes.abandoned, renewing, recovering, judge)


def test_release_against_recover_has_one_winner(scenes):
    def judge(end):
        released, recovered = end.results
        (row,) = end.tasks
        assert released != recovered
        assert row["attempts"] == recovered
        assert row["locked_by"] is None

    contest(scenes.abandoned, releasing, recovering, judge)


def test_recover_against_recover_counts_the_attempt_once(scenes):
    def judge(end):
        (row,) = end.tasks
        assert sorted(end.results) == [0, 1]
        assert row["attempts"] == 1

    contest(scenes.abandoned, recovering, recovering, judge)


def test_recover_against_recover_at_the_last_attempt_archives_once(scenes, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1

    def judge(end):
        assert sorted(end.results) == [0, 1]
        assert end.tasks == []
        assert len(end.completed) == 1

    contest(scenes.abandoned, recovering, recovering, judge)


def test_recover_against_claim_one_counts_the_attempt_once(scenes):
    def judge(end):
        _, claims = end.results
        (row,) = end.tasks
        assert row["attempts"] == 1
        assert claims == [("x", 2, 1)]
        assert row["locked_by"] == "x"

    contest(scenes.given_up, recovering, claiming_one("x"), judge)


# -- calls made alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])
def test_call_made_alone_against_claim_has_one_winner(scenes, call):
    """Either the call finds the row waiting, or the claim has it and the call adds another."""

    def judge(end):
        claims, is_added = end.results
        waiting = [row for row in end.tasks if row["locked_by"] is None]
        running = [row for row in end.tasks if row["locked_by"] is not None]
        assert len(running) == len(claims)
        assert [row["run_at"] for row in running] == ["due"] * len(running)
        if call is CHECK:
            assert bool(claims) or not is_added
        else:
            assert [row["run_at"] for row in waiting] == ["later"]
        assert len(end.tasks) == len(claims) + len(waiting)

    contest(scenes.waiting, claiming("w"), call, judge, may_skip=[])


@pytest.mark.parametrize("call", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])
@pytest.mark.parametrize("outcome", [Succeeded(), Retry("error", timedelta(0))], ids=kind)
def test_call_made_alone_against_finish_of_the_running_one_adds_or_meets_it(scenes, call, outcome):
    def judge(end):
        is_finished, is_added = end.results
        assert is_finished
        assert is_added or isinstance(outcome, Retry)
        waiting = [row for row in end.tasks if row["locked_by"] is None]
        assert waiting == end.tasks
        assert len(end.completed) == isinstance(outcome, Succeeded)

    contest(scenes.held, finishing(outcome), call, judge)


@pytest.mark.parametrize("other", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])
@pytest.mark.parametrize("one", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])
@pytest.mark.parametrize("is_there", [False, True], ids=["none waits", "one waits"])
def test_call_made_alone_against_another_leaves_one_row(scenes, one, other, is_there):
    def prepare():
        scene = scenes.waiting()
        if not is_there:
            scene.task.delete()
            scene.task.pk = 0
        return scene

    def judge(end):
        (row,) = end.tasks
        assert row["locked_by"] is None

    contest(prepare, one, other, judge)
