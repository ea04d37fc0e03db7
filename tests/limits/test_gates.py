"""What a gate lets through, puts aside and calls back."""

from datetime import timedelta

import pytest

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.limiter import hashed
from background_task.models import CompletedTask, Gate, Permit, Task
from background_task.store.gate import ASIDE, LOOK_AGAIN
from tests.limits.conftest import MINUTE, limit

pytestmark = pytest.mark.django_db

ENDS = [
    Succeeded(),
    Failed("error"),
    Retry("error", timedelta(hours=1)),
    Released("the worker stops"),
]


def test_admit_lets_through_as_many_as_may_run(floor):
    floor.add(5)
    assert floor.claim(limit_to=limit(2)) == [0, 1]
    assert floor.aside == [2, 3, 4]
    assert floor.waiting == []
    assert floor.permits == 2


def test_admit_puts_aside_as_if_nothing_had_happened(floor):
    task = floor.add(2)[1]
    before = Task.objects.filter(pk=task.pk).values().get()
    floor.claim(limit_to=limit(1))
    after = Task.objects.filter(pk=task.pk).values().get()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"claim_number", "due_at", "run_at"}
    assert after["due_at"] == before["run_at"]
    assert after["run_at"] == floor.now + ASIDE


def test_admit_puts_aside_what_waits_behind(floor):
    floor.add(5)
    assert floor.claim(2, limit_to=limit(1)) == [0]
    assert floor.aside == [1, 2, 3, 4]


def test_admit_leaves_others_alone(floor):
    floor.add(2)
    floor.function.using(schedule=floor.now + timedelta(hours=1))(7)
    floor.add(1, key="account:8")
    Task.objects.filter(limit_key=hashed("account:8")).update(run_at=floor.now)
    floor.add(1, priority=-5)  # another level
    assert floor.claim(1, limit_to=limit(1)) == [0]
    assert floor.claim(1, limit_to=limit(1)) == []
    assert floor.aside == [1]
    assert len(floor.waiting) == 2


def test_refused_claim_that_was_cancelled_meanwhile_ends(floor):
    tasks = floor.add(2)
    claims = floor.store.claim("w", ["limited"], limit=2, now=floor.now)
    assert floor.store.cancel(tasks[1].uid) == "requested"
    floor.gates.admit([(claim, limit(1)) for claim in claims], now=floor.now)
    assert CompletedTask.objects.get().uid == tasks[1].uid
    assert floor.aside == []


def test_task_that_is_put_aside_can_be_cancelled(floor):
    tasks = floor.add(2)
    floor.claim(limit_to=limit(1))
    assert floor.store.cancel(tasks[1].uid) == "cancelled"
    assert floor.aside == []


def test_limits_of_two_keys_do_not_meet(floor):
    floor.add(2)
    floor.add(2, key="account:8")
    claims = floor.store.claim("w", ["limited"], limit=4, now=floor.now)
    names = {hashed("account:7"): "account:7", hashed("account:8"): "account:8"}
    wanted = [(claim, limit(1, key=names[claim.limit_key])) for claim in claims]
    assert len(floor.gates.admit(wanted, now=floor.now)) == 2
    assert sorted(floor.aside) == [1, 1]


def test_calls_of_one_key_with_limits_of_their_own_count_together(floor):
    floor.add(3)
    claims = floor.store.claim("w", ["limited"], limit=3, now=floor.now)
    limits = [limit(1), limit(2), limit(2)]
    admitted = floor.gates.admit(list(zip(claims, limits, strict=True)), now=floor.now)
    assert len(admitted) == 2


@pytest.mark.parametrize("outcome", ENDS, ids=lambda outcome: type(outcome).__name__)
def test_end_of_a_run_makes_room(floor, outcome):
    floor.add(3)
    floor.claim(limit_to=limit(1))
    assert floor.gates.call_back(hashed("account:7"), now=floor.now).number == 0
    floor.store.finish(floor.claims[0], outcome)
    called = floor.gates.call_back(hashed("account:7"), now=floor.now)
    assert called.number == 1
    assert floor.aside == [2]
    assert floor.gate.look_at == floor.now + LOOK_AGAIN == called.look_at


def test_lost_worker_takes_no_place_with_it(floor):
    floor.add(2)
    floor.claim(limit_to=limit(1), owner="dead")
    (claim,) = floor.store.held_by("dead")
    assert floor.store.release([claim])  # as recovery does, in the end
    assert floor.gates.call_back(hashed("account:7"), now=floor.now).number == 1


def test_claim_of_the_same_row_again_needs_a_permit_again(floor):
    floor.add(1)
    floor.claim(limit_to=limit(1))
    floor.store.release(floor.claims)
    floor.store.claim("w", ["limited"], limit=1, now=floor.now)
    assert floor.permits == 1
    floor.add(1)
    assert floor.claim(limit_to=limit(1)) == [0], "the claim beside it has not been let through"


def test_call_back_gives_rows_their_time_again_in_their_order(floor):
    tasks = floor.add(4)
    floor.add(1, priority=3)
    assert floor.claim(limit_to=limit(1)) == [0]
    assert floor.aside == [0, 1, 2, 3]
    floor.store.finish(floor.claims[0], Succeeded())
    Gate.objects.update(max_running=2)
    assert floor.gates.call_back(floor.gate.key, now=floor.now).number == 2
    back = Task.objects.filter(pk__in=[tasks[0].pk, tasks[1].pk])
    assert all(task.due_at is None for task in back)
    assert [task.run_at for task in back.order_by("pk")] == [tasks[0].run_at, tasks[1].run_at]
    assert floor.aside == [2, 3]


def test_call_back_goes_from_level_to_level(floor):
    floor.add(2, priority=1)
    floor.add(2, priority=7)
    floor.claim(limit_to=limit(1))
    floor.claim(limit_to=limit(1))
    assert len(floor.aside) == 3
    Permit.objects.all().delete()
    Gate.objects.update(max_running=2)
    assert floor.gates.call_back(hashed("account:7"), now=floor.now).number == 2
    back = Task.objects.filter(due_at=None, locked_by=None).order_by("-priority")
    assert [task.priority for task in back] == [7, 1]


def test_gate_that_nothing_waits_at_is_not_looked_at(floor):
    floor.add(2)
    floor.claim(limit_to=limit(1))
    floor.store.finish(floor.claims[0], Succeeded())
    assert [key for key, _ in floor.gates.waiting()] == [hashed("account:7")]
    assert floor.gates.call_back(hashed("account:7"), now=floor.now).look_at is None
    assert floor.gates.waiting() == []
    assert floor.gates.call_back(hashed("account:7"), now=floor.now).number == 0


def test_waiting_asks_for_some_keys_only(floor):
    floor.add(2)
    floor.claim(limit_to=limit(1))
    assert floor.gates.waiting(["other"]) == []
    assert len(floor.gates.waiting([hashed("account:7"), "other"])) == 1


def test_rate_counts_what_has_ended(floor):
    floor.add(5)
    assert floor.claim(2, limit_to=limit(rate=3)) == [0, 1]
    for claim in floor.claims:
        floor.store.finish(claim, Succeeded())
    assert floor.claim(limit_to=limit(rate=3)) == [2]
    assert floor.aside == [3, 4]
    assert floor.gate.look_at == floor.now + MINUTE


def test_rate_slides(floor):
    """Three in any minute, wherever it begins."""
    floor.add(9)
    began, taken = floor.now, []
    for seconds in (0, 20, 40, 59.9, 60, 80, 99, 100):
        floor.now = began + timedelta(seconds=seconds)
        for key, look_at in floor.gates.waiting():
            if look_at <= floor.now:
                floor.gates.call_back(key, now=floor.now)
        count = len(floor.claim(1, limit_to=limit(rate=3)))
        taken += [seconds] * count
        for claim in floor.claims:
            floor.store.finish(claim, Succeeded())
    assert taken == [0, 20, 40, 60, 80, 100]


def test_older_time_of_one_who_has_waited_for_the_lock_counts_all_starts(floor):
    floor.add(4)
    began = floor.now
    floor.now = began + timedelta(seconds=10)
    assert floor.claim(2, limit_to=limit(rate=2)) == [0, 1]
    floor.now = began
    assert floor.claim(limit_to=limit(rate=2)) == []


def test_rate_and_number_hold_together(floor):
    floor.add(5)
    assert floor.claim(limit_to=limit(2, rate=3)) == [0, 1]
    for claim in floor.claims:
        floor.store.finish(claim, Succeeded())
    floor.gates.call_back(hashed("account:7"), now=floor.now)
    assert floor.claim(limit_to=limit(2, rate=3)) == [2]


def test_limit_that_was_lowered_holds_at_once(floor):
    floor.add(5)
    floor.claim(3, limit_to=limit(rate=5))
    for claim in floor.claims:
        floor.store.finish(claim, Succeeded())
    assert floor.claim(limit_to=limit(rate=2)) == []
    assert floor.gate.max_starts == 2


def test_row_that_nobody_called_back_keeps_its_time_when_it_is_run(floor):
    tasks = floor.add(2)
    floor.claim(limit_to=limit(1))
    floor.store.finish(floor.claims[0], Succeeded())
    floor.now += ASIDE
    assert floor.claim(limit_to=limit(1)) == [1]
    row = Task.objects.get(pk=tasks[1].pk)
    assert (row.run_at, row.due_at) == (tasks[1].run_at, None)


def test_admit_writes_nothing_for_a_claim_that_holds_no_more(floor):
    floor.add(2)
    claims = floor.store.claim("w", ["limited"], limit=2, now=floor.now)
    floor.store.release(claims)
    (other,) = floor.store.claim("x", ["limited"], limit=1, now=floor.now)
    floor.gates.admit([(claim, limit(1)) for claim in claims], now=floor.now)
    assert floor.store.is_held(other)
    assert Task.objects.get(pk=claims[1].task_id).locked_by is None


def test_tidy_deletes_what_counts_no_more(floor):
    floor.add(1)
    floor.claim(limit_to=limit(rate=3))
    floor.store.finish(floor.claims[0], Succeeded())
    assert floor.gates.tidy(now=floor.now) == 0
    assert floor.permits == 1
    assert floor.gates.tidy(now=floor.now + MINUTE) == 1
    assert floor.permits == 0


def test_tidy_leaves_what_runs_and_what_waits(floor):
    floor.add(2)
    floor.claim(limit_to=limit(1))
    assert floor.gates.tidy(now=floor.now + ASIDE) == 0
    assert floor.permits == 1
    assert floor.gate.look_at is not None
