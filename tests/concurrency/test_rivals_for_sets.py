"""Pairs of rivals for several rows: each row has one winner, and the other has not changed it."""

from datetime import timedelta

import pytest

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import Task
from background_task.payload import encode, task_hash
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.worker.recovery import recover
from tests.concurrency.rivals import by_row, contest, row_by_row

pytestmark = pytest.mark.slow

NAMES = ("known",)
LABELS = ("a", "b", "c")
ONCE = {label: {} for label in LABELS}
SOME_REPEAT = {"a": {"repeat": 3600}, "b": {}, "c": {"repeat": 3600}}

# -- what rivals do: each is given the scene and returns what it did to each row -------------------


def finishing(*outcomes, labels=LABELS):
    """Finish the claims of these labels with these outcomes, or all as succeeded."""

    def finish_many(scene):
        claims = [scene.claims[label] for label in labels]
        ends = list(zip(claims, outcomes or [Succeeded()] * len(claims), strict=True))
        finishes = scene.store.finish_many(ends)
        return {label: finish is not None for label, finish in zip(labels, finishes, strict=True)}

    return finish_many


MIXED = finishing(Succeeded(), Retry("error", timedelta(0)), Failed("error"))
OTHERWISE = finishing(Released("stopping"), Succeeded(), Succeeded())
GROUPS = pytest.mark.parametrize(
    "finish", [finishing(), MIXED, OTHERWISE], ids=["all succeed", "mixed", "mixed otherwise"]
)
ROWS = pytest.mark.parametrize("rows", [ONCE, SOME_REPEAT], ids=["once", "some repeat"])


def claiming(owner, **options):
    def claim(scene):
        claims = scene.store.claim(owner, NAMES, **options)
        return {
            scene.keys.get(claim.task_id, "new"): (claim.owner, claim.number, claim.attempts)
            for claim in claims
        }

    return claim


def recovering(scene):
    recover(scene.store)
    return {}


def releasing(scene):
    """The result counts rows; which they were, the rows tell."""
    scene.store.release(scene.claims.values())
    return {}


def releasing_and_claiming_again(scene):
    releasing(scene)
    return claiming("x", limit=5)(scene)


def changing(label, **values):
    """An edit of one row, while it runs or not."""

    def change(scene):
        changed = Task.objects.filter(pk=scene.tasks[label].pk).update(**values)
        return {f"{label} is there": bool(changed)}

    return change


def deleting(label):
    def delete(scene):
        deleted, _ = Task.objects.filter(pk=scene.tasks[label].pk).delete()
        return {f"{label} is there": bool(deleted)}

    return delete


def was_lost(task):
    return task["attempts"] == 1 and "was lost" in task["last_error"]


# -- finishes --------------------------------------------------------------------------------------


@GROUPS
@ROWS
def test_finish_many_against_recover_has_one_winner_for_each_row(scenes, finish, rows):
    def judge(end):
        for label, (results, tasks, completed) in by_row(end).items():
            lost = [task for task in tasks if was_lost(task)]
            assert results[0] != bool(lost), label
            assert all(task["locked_by"] is None for task in tasks)
            if lost:
                assert (len(tasks), completed) == (1, [])

    def prepare():
        return scenes.held_many(is_alive=False, **rows)

    contest(prepare, finish, recovering, judge, matches=row_by_row)


@ROWS
def test_finish_many_against_recover_at_the_last_attempt_archives_each_row_once(
    scenes, settings, rows
):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1

    def judge(end):
        for label, (results, tasks, (completed,)) in by_row(end).items():
            assert results[0] != completed["failed_at"], label
            assert [task["id"] for task in tasks] == ["new"] * bool(
                results[0] and rows[label].get("repeat")
            )

    def prepare():
        return scenes.held_many(is_alive=False, **rows)

    contest(prepare, finishing(), recovering, judge, matches=row_by_row)


@ROWS
@pytest.mark.parametrize(
    "other",
    [
        finishing(),
        finishing(labels=("c", "b", "a")),
        finishing(labels=("b", "c")),
        finishing(Retry("error", timedelta(0)), Failed("error"), labels=("c", "a")),
    ],
    ids=["the same", "backwards", "some", "with other outcomes"],
)
def test_finish_many_against_another_of_the_same_claims_finishes_each_row_once(scenes, rows, other):
    def judge(end):
        for label, (results, tasks, completed) in by_row(end).items():
            assert sorted(filter(None, results)) == [True], label
            assert len(completed) <= 1
            assert len([task for task in tasks if task["id"] == "new"]) <= len(completed)

    contest(lambda: scenes.held_many(**rows), finishing(), other, judge, matches=row_by_row)


@GROUPS
@ROWS
def test_finish_many_against_release_and_new_claim_has_one_winner_for_each_row(
    scenes, finish, rows
):
    """Once claimed by another, the row is as that one left it."""

    def judge(end):
        for label, (results, tasks, completed) in by_row(end).items():
            is_finished, claim = results
            if claim is not None and claim[1] == 2 and claim[2] == 0:
                (task,) = tasks
                assert (task["locked_by"], task["claim_number"]) == ("x", 2), label
                assert completed == []
            assert is_finished or claim is not None

    contest(
        lambda: scenes.held_many(**rows), finish, releasing_and_claiming_again, judge,
        matches=row_by_row,
    )  # fmt: skip


@ROWS
def test_finish_many_against_edit_of_one_row_finishes_all(scenes, rows):
    def judge(end):
        assert end.results[0] == dict.fromkeys(LABELS, True)
        assert sorted(completed["uid"] for completed in end.completed) == list(LABELS)

    contest(
        lambda: scenes.held_many(**rows), finishing(), changing("b", priority=77), judge,
        matches=row_by_row,
    )  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [(0, 3600), (3600, 0)])
def test_finish_many_against_edit_of_the_repetition_repeats_as_the_archive_says(
    scenes, before, after
):
    def prepare():
        scene = scenes.held_many(a={}, b={"repeat": before}, c={})
        scene.times[scene.tasks["b"].run_at + timedelta(hours=1)] = "b next"
        return scene

    def judge(end):
        assert end.results[0] == dict.fromkeys(LABELS, True)
        _, tasks, (completed,) = by_row(end)["b"]
        assert [task["run_at"] for task in tasks] == ["b next"] * bool(completed["repeat"])
        assert [task["repeat"] for task in tasks] == [3600] * len(tasks)

    contest(prepare, finishing(), changing("b", repeat=after), judge, matches=row_by_row)


@GROUPS
@ROWS
def test_finish_many_against_deletion_of_one_row_finishes_the_others(scenes, finish, rows):
    def judge(end):
        finished, deleted = end.results
        assert finished["a"]
        assert finished["c"]
        assert finished["b"] or deleted["b is there"]

    contest(lambda: scenes.held_many(**rows), finish, deleting("b"), judge, matches=row_by_row)


# -- releases --------------------------------------------------------------------------------------


def test_release_of_many_against_recover_has_one_winner_for_each_row(scenes):
    def judge(end):
        assert len(end.tasks) == 3
        for task in end.tasks:
            assert task["locked_by"] is None
            assert was_lost(task) or (task["attempts"], task["last_error"]) == (0, "")

    def prepare():
        return scenes.held_many(is_alive=False, **ONCE)

    contest(prepare, releasing, recovering, judge, matches=row_by_row)


@ROWS
def test_release_of_many_against_finish_many_has_one_winner_for_each_row(scenes, rows):
    def judge(end):
        for label, (results, tasks, completed) in by_row(end).items():
            assert results[1] == bool(completed), label
            assert results[1] or [task["id"] for task in tasks] == [label]

    contest(lambda: scenes.held_many(**rows), releasing, finishing(), judge, matches=row_by_row)


# -- claims ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"limit": 2}, {"limit": 1, "ahead": 1}, {"limit": 5}], ids=str)
@pytest.mark.parametrize("queues", [(), ("p", "q")], ids=["any queue", "two queues"])
def test_claim_of_many_against_another_gives_each_row_to_one(scenes, options, queues):
    rows = {label: {"queue": queue} for label, queue in zip(LABELS, "pqp", strict=True)}

    def judge(end):
        one, other = end.results
        assert not set(one) & set(other)
        for task in end.tasks:
            claim = {**one, **other}.get(task["id"])
            owner = None if claim is None else claim[0]
            assert task["locked_by"] == owner
            assert claim in (None, (owner, 1, 0))
            assert task["claim_number"] == (1 if claim else None)
        # Who comes second may find all it looked at taken, and looks again; the first never does.
        assert one or other

    first, second = (claiming(owner, queues=queues, **options) for owner in ("x", "y"))
    contest(lambda: scenes.many(**rows), first, second, judge, matches=lambda *_: True)


def calling(**options):
    def call(scene):
        spec = TaskSpec("known", run_at=scene.later, **options)
        return {"added": enqueue(spec, sender=TaskSpec) is not None}

    return call


HASH = task_hash("known", encode((), {}))
CHECK = calling(action=TaskSchedule.CHECK_EXISTING)
MOVE = calling(action=TaskSchedule.RESCHEDULE_EXISTING)
REMOVE = calling(remove_existing_tasks=True)


@pytest.mark.parametrize("call", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])
@pytest.mark.parametrize("options", [{"limit": 2}, {"limit": 1, "ahead": 4}], ids=str)
def test_claim_of_many_against_call_made_alone_has_one_winner_for_each_row(scenes, call, options):
    """Three rows of that call wait already: enqueued plainly, each for itself."""

    def prepare():
        return scenes.many(**{label: {"task_hash": HASH} for label in LABELS})

    def judge(end):
        claims, called = end.results
        running = [task for task in end.tasks if task["locked_by"] is not None]
        assert sorted(task["id"] for task in running) == sorted(claims)
        assert all(task["run_at"].endswith("due") for task in running)
        assert all(task["locked_by"] == "w" for task in running)
        waiting = [task for task in end.tasks if task["locked_by"] is None]
        assert waiting or not called["added"]

    contest(prepare, claiming("w", **options), call, judge, may_skip={})


def losing(label):
    """Another worker takes one row and loses its attempt."""

    def lose(scene):
        claim = scene.store.claim_one(scene.tasks[label].pk, "y")
        if claim is None:
            return {label: None}
        return {label: scene.store.finish(claim, Retry("error", timedelta(0))) is not None}

    return lose


def test_claim_ahead_against_a_lost_attempt_takes_no_row_that_has_one(scenes):
    def judge(end):
        claims, _ = end.results
        assert "b" not in claims or claims["b"][2] == 0

    first = claiming("x", limit=1, ahead=1)
    contest(lambda: scenes.many(a={}, b={}), first, losing("b"), judge, matches=row_by_row)
