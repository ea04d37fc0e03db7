"""Pairs of rivals for one row, of which one is a person who wants it otherwise."""

from datetime import timedelta

import pytest

from background_task.attempt import Retry, Succeeded
from background_task.models import Task
from background_task.store.change import Changes
from tests.concurrency.rivals import cancelling, claiming, contest, finishing

pytestmark = pytest.mark.slow


def discarding(scene):
    return scene.store.discard(scene.task.uid)


def changing(verb, **values):
    def change(scene):
        given = {"run_at": scene.later} if verb == "reschedule" else values
        return len(getattr(Changes(scene.store), verb)([scene.pk], **given))

    change.__name__ = verb
    return change


RESCHEDULE = changing("reschedule")
CHANGES = [
    RESCHEDULE,
    changing("set_priority", priority=5),
    changing("set_queue", queue="other"),
]
EACH_CHANGE = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


def has_changed(row):
    return row["run_at"] == "later" or row["priority"] == 5 or row["queue"] == "other"


@EACH_CHANGE
def test_change_against_claim_leaves_alone_what_was_claimed(scenes, change):
    """Or the claim takes it as it was changed; what was put off it does not take."""

    def judge(end):
        claims, changed = end.results
        (row,) = end.tasks
        assert has_changed(row) == bool(changed)
        assert (row["locked_by"] == "w") == bool(claims)
        if change is RESCHEDULE:
            assert bool(claims) != bool(changed)

    contest(scenes.waiting, claiming, change, judge, may_skip=[])


def test_run_now_against_claim_leaves_it_claimable_or_claimed(scenes):
    def prepare():
        scene = scenes.waiting()
        Task.objects.filter(pk=scene.pk).update(run_at=scene.later)
        return scene

    def judge(end):
        claims, changed = end.results
        (row,) = end.tasks
        assert changed == 1
        assert row["run_at"] == "now"
        assert (row["locked_by"] == "w") == bool(claims)

    contest(prepare, claiming, changing("run_now"), judge, may_skip=[])


def test_change_against_retry_is_all_or_nothing(scenes):
    def judge(end):
        is_finished, changed = end.results
        (row,) = end.tasks
        assert is_finished
        assert (row["locked_by"], row["attempts"]) == (None, 1)
        assert has_changed(row) == bool(changed)

    contest(scenes.held, finishing(Retry("error", timedelta(0))), RESCHEDULE, judge)


def test_change_against_success_finds_it_running_or_gone(scenes):
    def judge(end):
        assert end.results == (True, 0)
        assert (end.tasks, len(end.completed)) == ([], 1)

    contest(scenes.held, finishing(Succeeded()), RESCHEDULE, judge)


def test_change_against_cancel_is_not_what_is_cancelled_in_part(scenes):
    def judge(end):
        assert end.results[0] == "cancelled"
        assert (end.tasks, len(end.completed)) == ([], 1)

    contest(scenes.waiting, cancelling, RESCHEDULE, judge)


def test_discard_against_claim_archives_it_unclaimed_or_leaves_it_running(scenes):
    def judge(end):
        claims, discarded = end.results
        if claims:
            (row,) = end.tasks
            assert (row["locked_by"], discarded, end.completed) == ("w", "running", [])
        else:
            (completed,) = end.completed
            assert (completed["discarded_at"], completed["attempts"]) == (True, 0)
            assert (discarded, end.tasks) == ("discarded", [])

    contest(scenes.waiting, claiming, discarding, judge, may_skip=[])


def test_discard_against_success_leaves_the_success(scenes):
    def judge(end):
        is_finished, discarded = end.results
        assert is_finished
        assert discarded in ("running", "finished")
        (completed,) = end.completed
        assert not completed["discarded_at"]

    contest(scenes.held, finishing(Succeeded()), discarding, judge)


def test_discard_against_discard_goes_on_with_the_chain_once(scenes):
    def judge(end):
        assert sorted(end.results) == ["discarded", "finished"]
        assert [row["run_at"] for row in end.tasks] == ["next"]
        assert len(end.completed) == 1

    contest(lambda: scenes.waiting(repeat=3600), discarding, discarding, judge)


def test_discard_against_cancel_has_one_winner(scenes):
    def judge(end):
        discarded, cancelled = end.results
        (completed,) = end.completed
        if discarded == "discarded":
            assert completed["discarded_at"]
            assert cancelled == "finished"
            assert [row["run_at"] for row in end.tasks] == ["next"]
        else:
            assert completed["cancelled_at"]
            assert (discarded, cancelled, end.tasks) == ("finished", "cancelled", [])

    contest(lambda: scenes.waiting(repeat=3600), discarding, cancelling, judge)
