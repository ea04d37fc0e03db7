"""Pairs of rivals for one row, of which one cancels it; the loser has changed nothing."""

from datetime import timedelta

import pytest

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.worker.recovery import recover
from tests.concurrency.rivals import cancelling, claiming, contest, finishing

pytestmark = pytest.mark.slow


def releasing(scene):
    return scene.store.release([scene.claim])


def recovering(scene):
    return recover(scene.store)


def assert_cancelled(end, *, attempts):
    assert end.tasks == []
    (completed,) = end.completed
    assert (completed["cancelled_at"], completed["failed_at"]) == (True, False)
    assert not completed["discarded_at"]
    assert completed["attempts"] == attempts
    assert completed["last_error"].startswith("cancelled: ")


def test_cancel_against_claim_archives_it_unclaimed_or_asks_its_owner(scenes):
    def judge(end):
        claims, cancelled = end.results
        if claims:
            (row,) = end.tasks
            assert (row["locked_by"], row["cancel_requested_at"]) == ("w", True)
            assert cancelled == "requested"
            assert end.completed == []
        else:
            assert cancelled == "cancelled"
            assert_cancelled(end, attempts=0)

    contest(scenes.waiting, claiming, cancelling, judge, may_skip=[])


def test_cancel_against_success_leaves_a_success_and_ends_the_chain_if_it_came_first(scenes):
    def judge(end):
        is_finished, cancelled = end.results
        assert is_finished
        assert cancelled in ("requested", "finished")
        (completed,) = end.completed
        assert (completed["cancelled_at"], completed["failed_at"]) == (False, False)
        assert [row["run_at"] for row in end.tasks] == (["next"] if cancelled == "finished" else [])

    def prepare():
        return scenes.held(repeat=3600)

    contest(prepare, finishing(Succeeded()), cancelling, judge)


def test_cancel_against_failure_has_one_winner(scenes):
    def judge(end):
        is_finished, cancelled = end.results
        assert is_finished
        if cancelled == "requested":
            assert_cancelled(end, attempts=1)
        else:
            assert cancelled == "finished"
            (completed,) = end.completed
            assert (completed["failed_at"], completed["cancelled_at"]) == (True, False)

    contest(scenes.held, finishing(Failed("error\n")), cancelling, judge)


@pytest.mark.parametrize(
    ("back", "attempts"),
    [
        (finishing(Retry("error\n", timedelta(0))), 1),
        (finishing(Released("stopping")), 0),
        (releasing, 0),
    ],
    ids=["retry", "released", "release"],
)
def test_cancel_against_going_back_into_the_queue_never_leaves_a_row(scenes, back, attempts):
    def judge(end):
        is_back, cancelled = end.results
        assert cancelled in ("requested", "cancelled")
        assert_cancelled(end, attempts=attempts)
        if back is releasing:
            assert is_back == (1 if cancelled == "cancelled" else 0)
        else:
            assert is_back

    contest(scenes.held, back, cancelling, judge)


def test_cancel_against_recover_never_leaves_a_row(scenes):
    def judge(end):
        recovered, cancelled = end.results
        assert (recovered, cancelled) in ((1, "requested"), (1, "cancelled"))
        assert_cancelled(end, attempts=1)

    contest(scenes.abandoned, recovering, cancelling, judge)


def test_cancel_against_cancel_of_a_waiting_task_has_one_winner(scenes):
    def judge(end):
        assert sorted(end.results) == ["cancelled", "finished"]
        assert_cancelled(end, attempts=0)

    contest(scenes.waiting, cancelling, cancelling, judge)


def test_cancel_against_cancel_of_a_running_task_asks_once(scenes):
    def judge(end):
        assert end.results == ("requested", "requested")
        (row,) = end.tasks
        assert (row["locked_by"], row["cancel_requested_at"]) == ("w", True)
        assert end.completed == []

    contest(scenes.held, cancelling, cancelling, judge)
