"""What coroutines do to the database, and to each other's transactions."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction

from background_task.models import CompletedTask, Task
from background_task.worker.hygiene import Mess, put_in_order
from background_task.worker.lanes import Annex, Guest, Lanes
from tests.app.models import Ledger
from tests.hostile.tasks import (
    leave_autocommit_off,
    leave_raw_transaction_open,
    leave_transaction_open,
    leave_two_transactions_open,
)
from tests.waiting import wait_until
from tests.worker.running_async import DEADLINE, Meeting, work_off

pytestmark = pytest.mark.django_db(transaction=True)

LEAVINGS = [
    leave_autocommit_off,
    leave_raw_transaction_open,
    leave_transaction_open,
    leave_two_transactions_open,
]


def keys():
    return sorted(Ledger.objects.values_list("key", flat=True))


def connect():
    """Asked on the lane: what the event loop's thread sees is another connection."""
    connection.ensure_connection()


def threads_of_lanes():
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("background_task lane")
    ]


def test_many_tasks_share_few_connections(registry):
    meeting, seen = Meeting(40), set()

    def note(number):
        Ledger.objects.create(key=str(number))
        seen.add(id(connection.connection))

    @registry.background(name="write")
    async def write(number):
        await sync_to_async(note)(number)
        await meeting.join()
        await Ledger.objects.acreate(key=f"{number} again")

    for number in range(40):
        write(number)
    work_off(40, concurrency=40)
    assert Ledger.objects.count() == 80
    assert len(seen) <= 8


def test_threads_option_says_how_many_connections(registry):
    meeting, seen = Meeting(9), set()

    def note():
        connection.ensure_connection()
        seen.add(threading.get_ident())

    @registry.background(name="look")
    async def look():
        await sync_to_async(note)()
        await meeting.join()

    for _ in range(9):
        look()
    work_off(9, concurrency=9, threads=3)
    assert len(seen) == 3


def test_task_stays_on_its_connection(registry):
    seen, meeting = {}, Meeting(20)

    @registry.background(name="look")
    async def look(number):
        for _ in range(5):
            seen.setdefault(number, set()).add(await sync_to_async(threading.get_ident)())
            await asyncio.sleep(0)
        await meeting.join()
        seen[number].add(await sync_to_async(threading.get_ident)())

    for number in range(20):
        look(number)
    work_off(20, concurrency=20)
    assert [len(threads) for threads in seen.values()] == [1] * 20


@pytest.mark.parametrize("leave", LEAVINGS, ids=lambda leave: leave.__name__)
@pytest.mark.parametrize("ends_well", [True, False])
def test_transaction_left_open_is_rolled_back_and_told(registry, leave, ends_well):
    @registry.background(name="leave")
    async def task():
        await sync_to_async(leave)()
        if not ends_well:
            raise ValueError("real error")

    @registry.background(name="next")
    async def after():
        await Ledger.objects.acreate(key="next")

    task(priority=1)
    after()
    worker = work_off(1 + ends_well, concurrency=1, threads=1)
    assert keys() == ["next"]
    assert len(worker.events.of("mess")) == 1
    assert ("real error" in Task.objects.get().last_error) if not ends_well else True
    assert CompletedTask.objects.count() == 1 + ends_well


@pytest.mark.only_on("postgresql", "mariadb")  # SQLite has one writer at a time
@pytest.mark.parametrize("leave", LEAVINGS, ids=lambda leave: leave.__name__)
def test_writes_of_others_do_not_land_in_a_transaction_left_open_meanwhile(
    registry, leave, monkeypatch
):
    """With one lane, on which all tasks are before the transaction begins."""
    meeting, written, all_lanes = Meeting(4), Meeting(4), []

    @registry.background(name="leave")
    async def task():
        await sync_to_async(connect)()
        await meeting.join()
        await sync_to_async(leave)()
        await written.join()
        raise ValueError

    @registry.background(name="other")
    async def other(number):
        await sync_to_async(connect)()
        await meeting.join()
        while not any(lane.holder for lane in all_lanes[0]._all):
            await asyncio.sleep(0)
        await Ledger.objects.acreate(key=f"other {number}")
        await written.join()

    real = Lanes.__init__

    def remember(self, **options):
        real(self, **options)
        all_lanes.append(self)

    monkeypatch.setattr(Lanes, "__init__", remember)
    task()
    for number in range(3):
        other(number)
    worker = work_off(3, concurrency=4, threads=1)
    assert keys() == ["other 0", "other 1", "other 2"]
    assert len(worker.events.of("mess")) == 1


def test_transaction_over_several_awaits_belongs_to_its_task(registry):
    @registry.background(name="transfer")
    async def transfer():
        block = transaction.atomic()
        await sync_to_async(block.__enter__)()
        await Ledger.objects.acreate(key="first")
        await asyncio.sleep(0)
        await Ledger.objects.acreate(key="second")
        assert await sync_to_async(lambda: connection.in_atomic_block)()
        await sync_to_async(block.__exit__)(None, None, None)

    transfer()
    worker = work_off(1)
    assert keys() == ["first", "second"]
    assert not worker.events.of("mess")


def test_connections_are_closed_at_the_end(registry):
    seen = []

    @registry.background(name="look")
    async def look():
        await Ledger.objects.acreate(key="x")
        seen.append(await sync_to_async(lambda: connections["default"])())

    look()
    work_off(1)
    wait_until(lambda: threads_of_lanes() == [])
    assert [wrapper.connection for wrapper in seen] == [None]


def test_queries_in_the_loop_itself_leave_nothing_where_they_are_allowed(registry, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    seen = []

    @registry.background(name="write")
    async def task():
        Ledger.objects.create(key="kept")
        leave_transaction_open()
        seen.append(connections["default"])

    @registry.background(name="next")
    async def after():
        Ledger.objects.create(key="next")

    task(priority=1)
    after()
    worker = work_off(2, concurrency=1)
    assert keys() == ["kept", "next"]
    assert seen[0].connection is None
    assert len(worker.events.of("mess")) == 1


def test_to_thread_leaves_no_connection(registry):
    seen = []

    def write():
        Ledger.objects.create(key="kept")
        transaction.atomic().__enter__()
        Ledger.objects.create(key="uncommitted")
        seen.append(connections["default"])

    @registry.background(name="write")
    async def task():
        await asyncio.to_thread(write)
        assert seen[0].connection is None

    task()
    assert work_off(1).summary.succeeded == 1
    assert keys() == ["kept"]


def test_lanes_connect_anew_after_an_outage(lanes):
    """An idle lane cannot know that the server was restarted."""
    guest = Guest(lanes)

    def driver():
        connection.ensure_connection()
        return connection.connection

    first = guest.submit(driver).result(DEADLINE)
    again = guest.submit(driver).result(DEADLINE)
    lanes.outages += 1
    later = guest.submit(driver).result(DEADLINE)
    assert first is again
    assert later is not first


def test_broken_connection_costs_one_call(registry):
    @registry.background(name="break")
    async def task():
        def close():
            connection.ensure_connection()
            connection.connection.close()

        await sync_to_async(close)()

    @registry.background(name="next")
    async def after():
        await Ledger.objects.acreate(key="next")

    task(priority=1)
    after()
    work_off(2, concurrency=1, threads=1)
    assert keys() == ["next"]


# -- the lanes themselves -----------------------------------------------------------------------


@pytest.fixture
def lanes():
    wait_until(lambda: threads_of_lanes() == [])  # those of a worker of the test before
    lanes = Lanes(most=2)
    yield lanes
    for lane in lanes._all:
        lane.join(timeout=0)
    lanes.end(timeout=5)
    wait_until(lambda: threads_of_lanes() == [])


def lane_of(guest):
    return guest.submit(threading.current_thread).result(DEADLINE)


def test_guests_share_lanes_only_when_there_are_no_more(lanes):
    guests = [Guest(lanes) for _ in range(4)]
    used = [lane_of(guest) for guest in guests]
    assert used[0] is not used[1]
    assert len(set(used)) == 2


def test_lane_is_free_for_others_once_its_guest_has_left(lanes):
    first = Guest(lanes)
    lane = lane_of(first)
    assert first.leave() is False
    assert lane_of(Guest(lanes)) is lane


def test_call_left_running_keeps_its_lane_and_no_other_guest_waits_for_it(lanes):
    """The two rivals: a cancelled task whose call goes on, and one that waits behind it."""
    go_on, begun = threading.Event(), threading.Event()

    def hang():
        begun.set()
        assert go_on.wait(DEADLINE)
        leave_transaction_open()

    one, two, three = Guest(lanes), Guest(lanes), Guest(lanes)
    used = [lane_of(guest) for guest in (one, two, three)]
    assert used[2] in used[:2]
    slow, behind = (one if used[0] is used[2] else two), three
    left = slow.submit(hang)
    assert begun.wait(DEADLINE)
    waiting = behind.submit(threading.current_thread)
    assert not waiting.done()
    assert slow.leave() is False
    assert waiting.result(DEADLINE) is not used[2]
    go_on.set()
    left.result(DEADLINE)
    wait_until(lambda: used[2].holder is None)
    assert Ledger.objects.count() == 0


def test_idle_lane_gives_its_connection_back(lanes, monkeypatch):
    monkeypatch.setattr("background_task.worker.lanes.IDLE_SECONDS", 0.01)

    def look():
        connection.ensure_connection()
        return connections["default"]

    wrapper = Guest(lanes).submit(look).result(DEADLINE)
    wait_until(lambda: wrapper.connection is None)


def test_lanes_that_were_needed_for_transactions_end_when_they_are_idle(lanes, monkeypatch):
    monkeypatch.setattr("background_task.worker.lanes.IDLE_SECONDS", 0.01)
    guests = [Guest(lanes) for _ in range(3)]
    for guest in guests:
        guest.submit(transaction.set_autocommit, False).result(DEADLINE)
    assert lane_of(Guest(lanes)) not in [guest.lane for guest in guests]
    assert len(lanes._all) == 4
    for guest in guests:
        assert guest.leave() is True
        lanes.submit(lambda: put_in_order(Mess()), guest=guest).result(DEADLINE)
    wait_until(lambda: len(threads_of_lanes()) == 2)


def test_stop_iteration_of_a_call_can_be_awaited(lanes):
    def stop():
        raise StopIteration

    async def wait():
        await asyncio.get_running_loop().run_in_executor(Guest(lanes), stop)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(wait(), DEADLINE))


def test_annex_runs_calls_like_any_pool():
    with Annex(max_workers=1) as annex:
        assert annex.submit(divmod, 7, 2).result(DEADLINE) == (3, 1)
        assert isinstance(annex.submit(divmod, 7, 0).exception(DEADLINE), ZeroDivisionError)
