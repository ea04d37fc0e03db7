"""Adding many beside others who add or claim at the same time."""

import threading

import pytest
from django.db import OperationalError, connections

from background_task.models import Task
from background_task.producer import TaskSpec, enqueue, enqueue_many
from background_task.schedule import TaskSchedule
from tests.store.rows import NAMES

pytestmark = pytest.mark.django_db(transaction=True)
DEADLINE_SECONDS = 30


def put_many(specs, **options):
    return enqueue_many(specs, sender=TaskSpec, **options)


class Rival(threading.Thread):
    """Does something on a connection of its own; ``result()`` waits for what came of it."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self._act = act
        self._result = self._error = None
        self.start()

    def run(self):
        try:
            self._result = self._act()
        except Exception as error:  # noqa: BLE001 - raised again where it is asked for
            self._error = error
        finally:
            connections.close_all()

    def result(self):
        self.join(DEADLINE_SECONDS)
        assert not self.is_alive(), "it still waits"
        if self._error is not None:
            raise self._error
        return self._result


class Pause:
    """A place at which somebody waits to be let go."""

    def __init__(self):
        self._reached, self._go_on = threading.Event(), threading.Event()

    def stop_here(self):
        self._reached.set()
        assert self._go_on.wait(DEADLINE_SECONDS), "nobody let it go on"

    def wait_until_reached(self):
        assert self._reached.wait(DEADLINE_SECONDS), "it never came here"

    def let_go(self):
        self._go_on.set()


def test_many_and_many_and_one_by_one_each_get_their_own_keys(store):
    start = threading.Barrier(4)

    def many(name):
        start.wait(DEADLINE_SECONDS)
        return put_many((TaskSpec(name, (n,)) for n in range(210)), batch_size=7)

    def singly(name):
        start.wait(DEADLINE_SECONDS)
        return [enqueue(TaskSpec(name, (n,)), sender=TaskSpec) for n in range(40)]

    rivals = [Rival(lambda name=name: many(name)) for name in ("a", "b", "c")]
    rivals.append(Rival(lambda: singly("d")))
    tasks = [task for rival in rivals for task in rival.result()]
    stored = {pk: rest for pk, *rest in Task.objects.values_list("pk", "task_name", "task_params")}
    assert {task.pk: [task.task_name, task.task_params] for task in tasks} == stored
    assert len(tasks) == 3 * 210 + 40


def test_many_and_claim_sees_none_of_them_before_all_are_there(store):
    pause = Pause()

    def specs():
        yield from (TaskSpec("known", (n,)) for n in range(6))
        pause.stop_here()

    adding = Rival(lambda: put_many(specs(), batch_size=2))
    pause.wait_until_reached()
    assert store.claim("w", NAMES, limit=10) == []
    pause.let_go()
    tasks = adding.result()
    assert [claim.task_id for claim in store.claim("w", NAMES, limit=10)] == [
        task.pk for task in tasks
    ]


@pytest.mark.only_on("postgresql", "mariadb")
def test_many_and_one_keep_nobody_waiting(store):
    pause = Pause()

    def specs():
        yield from (TaskSpec("known", (n,)) for n in range(6))
        pause.stop_here()

    adding = Rival(lambda: put_many(specs(), batch_size=2))
    pause.wait_until_reached()
    task = enqueue(TaskSpec("known"), sender=TaskSpec)
    (claim,) = store.claim("w", NAMES, limit=10)
    assert claim.task_id == task.pk
    pause.let_go()
    assert len(adding.result()) == 6


@pytest.mark.only_on("postgresql", "mariadb")
def test_many_and_many_that_want_to_be_alone_in_opposite_order_end_with_one_winner(store):
    """Each waits for the other's row: the database refuses one of them, and stores none of it."""
    meet = threading.Barrier(2)
    alone = {"action": TaskSchedule.CHECK_EXISTING}

    def specs(*names):
        yield TaskSpec(names[0], **alone)
        yield TaskSpec("filler", names)  # so the first one is inserted by now
        meet.wait(DEADLINE_SECONDS)
        yield TaskSpec(names[1], **alone)

    rivals = [
        Rival(lambda names=names: put_many(specs(*names), batch_size=1))
        for names in (("known", "also_known"), ("also_known", "known"))
    ]
    tasks, errors = [], []
    for rival in rivals:
        try:
            tasks += rival.result()
        except OperationalError as error:
            errors.append(error)
    assert len(errors) == 1
    assert len(tasks) == 3
    assert set(Task.objects.all()) == set(tasks)


@pytest.mark.parametrize("option", [TaskSchedule.CHECK_EXISTING, TaskSchedule.RESCHEDULE_EXISTING])
def test_many_and_many_of_the_same_that_want_to_be_alone_leave_one_of_each(store, option):
    start = threading.Barrier(2)

    def many():
        start.wait(DEADLINE_SECONDS)
        return put_many(TaskSpec("known", (n,), action=option) for n in range(10))

    rivals = [Rival(many), Rival(many)]
    tasks = [task for rival in rivals for task in rival.result()]
    assert len(tasks) == 10
    assert set(Task.objects.all()) == set(tasks)
