"""Pairs of rivals for one unique key: one has it at most, and the loser has changed nothing."""

from datetime import timedelta

import pytest

from background_task import AlreadyScheduledError
from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import Task
from background_task.uniqueness import KEPT
from background_task.worker.recovery import recover
from tests.concurrency.rivals import contest
from tests.unique.rows import NAMES, unique

pytestmark = pytest.mark.slow

WAYS = ("skip", "replace", "raise", "extend")
ANY_WAY = pytest.mark.parametrize("way", WAYS)
OUTCOMES = pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Failed("error"), Retry("error", timedelta(0)), Released("stopping")],
    ids=lambda value: type(value).__name__,
)


def rule(until="start", way="skip"):
    """A function of which there is one for each user, whatever the rest of its arguments."""
    return unique(unique="user_id", unique_until=until, on_conflict=way)


# -- what rivals do --------------------------------------------------------------------------------


def calling(name, way, until="start"):
    def call(scene):
        try:
            task = rule(until, way).using(schedule=scene.later)(7, name)
        except AlreadyScheduledError:
            return "refused"
        return "kept" if task is None else "added"

    return call


def calling_many(name, way, users, until="start"):
    def call_many(scene):
        calls = [((user, name), {}) for user in users]
        try:
            tasks = rule(until, way).using(schedule=scene.later).bulk(calls)
        except AlreadyScheduledError:
            return "refused"
        return [task.params()[0] for task in tasks]

    return call_many


def claiming(scene):
    claims = scene.store.claim("w", NAMES, limit=5)
    return [(claim.number, claim.task_params) for claim in claims]


def finishing(outcome, *, in_group):
    def finish(scene):
        if in_group:
            return scene.store.finish_many([(scene.claim, outcome)]) != [None]
        return scene.store.finish(scene.claim, outcome) is not None

    return finish


def recovering(scene):
    return recover(scene.store)


# -- what they meet on -----------------------------------------------------------------------------


def with_key(scene, until):
    """Let the scene's row have the key for which the rivals compete."""
    function = rule(until)
    key = function.uniqueness.key(function._parameters, (7,), {})
    task = Task.objects.get(pk=scene.pk)
    scene.store.hold(task, key)
    Task.objects.filter(pk=task.pk).update(unique_key=task.unique_key, options=task.options)
    return scene


def free(scenes):
    """Nobody has the key."""
    scene = scenes.waiting()
    scene.task.delete()
    scene.task.pk = 0
    return scene


def running(tasks):
    return [row for row in tasks if row["locked_by"] is not None]


def assert_one_holder(outcome, *, expected=(0, 1)):
    """Tell whether as many rows have the key by right as expected."""
    __tracebackhide__ = True
    holders = [
        row
        for row in outcome.tasks
        if row["unique_key"] and (row["locked_by"] is None or KEPT in (row["options"] or ""))
    ]
    assert len(holders) in expected


# -- calls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_there", [False, True], ids=["none waits", "one waits"])
@pytest.mark.parametrize("other", WAYS)
@pytest.mark.parametrize("one", WAYS)
def test_unique_against_unique_leaves_one_row(scenes, one, other, is_there):
    def prepare():
        return with_key(scenes.waiting(), "start") if is_there else free(scenes)

    def judge(outcome):
        assert_one_holder(outcome, expected=[1])
        (row,) = outcome.tasks
        changes = [result for result in outcome.results if result == "added"]
        assert len(changes) <= [one, other].count("replace") + (not is_there)
        for name, way, result in zip(("one", "other"), (one, other), outcome.results, strict=True):
            if result == "refused" or (result == "kept" and way == "skip"):
                assert name not in row["task_params"]

    contest(prepare, calling("one", one), calling("other", other), judge)


@pytest.mark.parametrize("way", ["skip", "raise"])
def test_bulk_against_unique_leaves_one_row_of_each(scenes, way):
    def judge(outcome):
        many, single = outcome.results
        assert_one_holder(outcome, expected=[1, 2])
        if many == "refused":
            assert [single, len(outcome.tasks)] == ["added", 1]
        else:
            assert single == ("refused" if [7, "many"] in many and way == "raise" else single)
            assert len(outcome.tasks) == 2
            assert sorted(many) in ([[7, "many"], [8, "many"]], [[8, "many"]])

    many = calling_many("many", way, [8, 7] if way == "raise" else [8, 7, 8])
    contest(lambda: free(scenes), many, calling("single", way), judge)


@pytest.mark.parametrize("way", ["replace", "extend"])
def test_bulk_that_moves_rows_against_unique_leaves_one_row_of_each(scenes, way):
    def judge(outcome):
        assert len(outcome.tasks) == 2
        assert_one_holder(outcome, expected=[2])

    many = calling_many("many", way, [7, 8, 7])
    contest(lambda: free(scenes), many, calling("single", way), judge)


@pytest.mark.parametrize("way", ["skip", "raise"])
def test_bulk_against_bulk_leaves_one_row_of_each(scenes, way):
    def judge(outcome):
        loser, winner = sorted(
            outcome.results, key=lambda result: isinstance(result, list) and len(result)
        )
        name = winner[0][1]
        assert winner == [[7, name], [8, name]]
        assert loser == ([] if way == "skip" else "refused")
        assert [row["task_params"] for row in outcome.tasks] == [
            f'[[{user}, "{name}"], {{}}]' for user in (7, 8)
        ]
        assert_one_holder(outcome, expected=[2])

    contest(
        lambda: free(scenes),
        calling_many("a", way, [7, 8]),
        calling_many("b", way, [7, 8]),
        judge,
    )


# -- claims ----------------------------------------------------------------------------------------


@ANY_WAY
@pytest.mark.parametrize("until", ["start", "finish"])
def test_unique_against_claim_has_one_winner(scenes, way, until):
    """Either the call sees to the waiting row, or the claim has it as it was."""

    def judge(outcome):
        claims, result = outcome.results
        assert_one_holder(outcome)
        for row in running(outcome.tasks):
            assert (row["run_at"], row["task_params"]) == ("due", "[[], {}]")
            assert (row["claim_number"], row["unique_key"]) == (1, until == "finish")
        assert claims == [(1, "[[], {}]")] * len(running(outcome.tasks))
        if until == "finish" and claims:
            assert result in ("kept", "refused")
        if way in ("replace", "extend") and not claims:
            (row,) = outcome.tasks
            assert (row["run_at"], row["task_params"]) == ("later", '[[7, "call"], {}]')

    def prepare():
        return with_key(scenes.waiting(), until)

    contest(prepare, claiming, calling("call", way, until), judge, may_skip=[])


@pytest.mark.parametrize("way", ["skip", "raise"])
@pytest.mark.parametrize("until", ["start", "finish"])
def test_bulk_against_claim_has_one_winner(scenes, way, until):
    def judge(outcome):
        claims, added = outcome.results
        assert_one_holder(
            outcome, expected=[int(until == "finish")] if added == "refused" else [1, 2]
        )
        assert len(running(outcome.tasks)) == len(claims) == 1
        assert added in (
            [[[8, "call"]], [[7, "call"], [8, "call"]]] if way == "skip"
            else ["refused", [[7, "call"], [8, "call"]]]
        )  # fmt: skip
        if until == "finish":
            assert added in ([[8, "call"]], "refused")

    def prepare():
        return with_key(scenes.waiting(), until)

    contest(prepare, claiming, calling_many("call", way, [7, 8], until), judge)


# -- finishes --------------------------------------------------------------------------------------


@ANY_WAY
@OUTCOMES
@pytest.mark.parametrize("in_group", [False, True], ids=["", "in a group"])
def test_unique_until_finish_against_finish_waits_its_turn(scenes, way, outcome, in_group):
    def judge(end):
        is_finished, result = end.results
        assert is_finished
        assert_one_holder(end)
        is_archived = isinstance(outcome, Succeeded | Failed)
        assert len(end.completed) == is_archived
        assert running(end.tasks) == []
        assert len(end.tasks) == (not is_archived or result == "added")

    def prepare():
        return with_key(scenes.held(), "finish")

    contest(prepare, finishing(outcome, in_group=in_group), calling("call", way, "finish"), judge)


@ANY_WAY
@pytest.mark.parametrize("in_group", [False, True], ids=["", "in a group"])
def test_unique_until_finish_against_finish_with_a_repetition_finds_no_gap(scenes, way, in_group):
    """The next row of a chain has the key from the moment at which the one before is gone."""

    def judge(end):
        assert_one_holder(end, expected=[1])
        (row,) = end.tasks
        is_finished, result = end.results
        assert is_finished
        assert len(end.completed) == 1
        if way in ("skip", "raise"):
            assert (row["run_at"], row["task_params"]) == ("next", "[[], {}]")
        else:
            assert result in ("kept", "added")

    def prepare():
        return with_key(scenes.held(repeat=3600), "finish")

    finish = finishing(Succeeded(), in_group=in_group)
    contest(prepare, finish, calling("call", way, "finish"), judge)


@ANY_WAY
def test_unique_until_finish_against_recover_finds_the_row_still_there(scenes, way):
    def judge(end):
        assert_one_holder(end, expected=[1])
        recovered, result = end.results
        assert recovered == 1
        (row,) = end.tasks
        assert row["attempts"] == (0 if result == "added" else 1)

    def prepare():
        return with_key(scenes.abandoned(), "finish")

    contest(prepare, recovering, calling("call", way, "finish"), judge)
