"""Pairs of rivals for a pause: one wins, the other has changed nothing."""

import pytest

from background_task.models import Pause
from tests.concurrency.rivals import contest

pytestmark = pytest.mark.slow

NAMES = ("known",)


def pausing(scene):
    return scene.store.pauses.pause("queue", "stopped")


def pausing_function(scene):
    return scene.store.pauses.pause("function", "known")


def resuming(scene):
    return scene.store.pauses.resume("queue", "stopped")


def claiming(scene):
    return [claim.number for claim in scene.store.claim("w", NAMES, limit=5)]


@pytest.mark.parametrize("pause", [pausing, pausing_function])
def test_pause_against_claim_has_the_row_either_claimed_or_untouched(scenes, pause):
    def judge(outcome):
        is_paused, numbers = outcome.results
        (row,) = outcome.tasks
        assert is_paused
        assert Pause.objects.count() == 1
        assert numbers == ([] if row["locked_by"] is None else [1])
        assert (row["claim_number"] or 0) == len(numbers)

    contest(lambda: scenes.waiting(queue="stopped"), pause, claiming, judge)


def test_resume_against_claim_has_the_row_either_claimed_or_untouched(scenes):
    def judge(outcome):
        is_resumed, numbers = outcome.results
        (row,) = outcome.tasks
        assert is_resumed
        assert not Pause.objects.exists()
        assert numbers == ([] if row["locked_by"] is None else [1])

    contest(scenes.waiting_in_paused_queue, resuming, claiming, judge)


def test_pause_against_pause_has_one_winner(scenes):
    def judge(outcome):
        assert sorted(outcome.results) == [False, True]
        assert Pause.objects.count() == 1

    contest(scenes.waiting, pausing, pausing, judge)


def test_resume_against_resume_has_one_winner(scenes):
    def judge(outcome):
        assert sorted(outcome.results) == [False, True]
        assert not Pause.objects.exists()

    contest(scenes.waiting_in_paused_queue, resuming, resuming, judge)


def test_pause_against_resume_is_as_if_one_came_after_the_other(scenes):
    def judge(outcome):
        assert outcome.results in [(False, True), (True, True)]

    def matches(serial, outcome):
        is_paused, _ = outcome.results
        return outcome in serial and Pause.objects.count() == is_paused

    contest(scenes.waiting_in_paused_queue, pausing, resuming, judge, matches=matches)
