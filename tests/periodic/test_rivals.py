"""Two at the same schedule, in every order: each tick once, and the loser has changed nothing."""

from types import SimpleNamespace

import pytest

from background_task import periodic
from background_task.models import Schedule
from tests.concurrency.rivals import contest
from tests.periodic.conftest import HOUR, LEASE, NOON, SECOND

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scene(registry, make_ticker, schedules, transactional_db):
    """What both rivals are given: two workers, that know the table unless they are new."""
    periodic(3600)(registry.background(name="t")(lambda *args: None))
    old = dict(registry._tasks)
    registry._tasks.clear()
    periodic(3600, args=["new"])(registry.background(name="t")(lambda *args: None))
    new = dict(registry._tasks)

    def prepare(*, is_new=False, is_paused=False):
        Schedule.objects.all().delete()
        scene = SimpleNamespace(names=frozenset(), keys={}, uids={}, times={NOON: "tick"})
        scene.schedules = schedules
        scene.workers = [make_ticker(old), make_ticker(new if is_new else old)]
        for worker in scene.workers[: 1 if is_new else 2]:
            worker.read(NOON - LEASE)
        (row,) = schedules.read().values()
        if is_paused:
            schedules.pause(row.key)
            (row,) = schedules.read().values()
        scene.row = row
        return scene

    return prepare


def one_tick(scene):
    return scene.workers[0].tick(NOON)


def other_tick(scene):
    return scene.workers[1].tick(NOON)


def test_tick_against_tick_is_put_once(scene):
    def judge(outcome):
        assert sorted(outcome.results) == [0, 1]
        assert [task["run_at"] for task in outcome.tasks] == ["tick"]
        assert Schedule.objects.get().revision == 2

    contest(scene, one_tick, other_tick, judge)


def test_tick_against_pause_is_put_or_not(scene):
    def pause(scene):
        return scene.schedules.pause(scene.row.key)

    def judge(outcome):
        put, is_paused = outcome.results
        assert is_paused
        assert len(outcome.tasks) == put
        assert Schedule.objects.get().is_paused

    contest(scene, one_tick, pause, judge)


def test_resume_against_resume_is_done_once(scene):
    def resume(scene):
        return scene.schedules.resume(scene.row, now=NOON) is not None

    def also_resume(scene):
        return resume(scene)

    def judge(outcome):
        assert sorted(outcome.results) == [False, True]
        row = Schedule.objects.get()
        assert (row.is_paused, row.next_tick_at) == (False, NOON + HOUR)

    contest(lambda: scene(is_paused=True), resume, also_resume, judge)


def test_tick_against_new_code_is_put_once_by_either(scene):
    def arrive(scene):
        return scene.workers[1].look(NOON)

    def judge(outcome):
        assert sorted(outcome.results) == [0, 1]
        assert [task["run_at"] for task in outcome.tasks] == ["tick"]
        is_by_new = "new" in outcome.tasks[0]["task_params"]
        assert outcome.results == ((0, 1) if is_by_new else (1, 0))

    contest(lambda: scene(is_new=True), one_tick, arrive, judge)


def test_first_read_against_first_read_enters_one_row(scene):
    def empty():
        prepared = scene()
        Schedule.objects.all().delete()
        return prepared

    def read(scene):
        scene.workers[0].read(NOON - SECOND)

    def also_read(scene):
        scene.workers[1].read(NOON - SECOND)

    def judge(outcome):
        assert outcome.results == (None, None)
        row = Schedule.objects.get()
        assert (row.revision, row.next_tick_at) == (1, NOON)

    contest(empty, read, also_read, judge)


def test_tick_against_deletion_of_the_row_is_put_at_most_once(scene):
    def delete(scene):
        Schedule.objects.all().delete()

    def judge(outcome):
        assert len(outcome.tasks) == outcome.results[0]
        assert not Schedule.objects.exists()

    contest(scene, one_tick, delete, judge)
