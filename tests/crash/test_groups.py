"""Many tasks in hand and many outcomes gathered when the worker dies, or is told to end."""

import signal
from collections import Counter

import pytest

from background_task.models import CompletedTask, Task
from tests.crash import tasks as crash

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

TASKS = 1000
MODES = {
    "inline": [],
    "threads": ["--threads", "4"],
    "async": ["--async", "4"],
}
#: How many tasks are on threads at the same time.
SLOTS = {"--threads 4": 4, "--async 4": 1}
#: The hop, and the how-manieth time it is reached the worker dies. By then it claims many at once.
HOPS = {"claim": 50, "run": 50, "finish": 4, "group": 4, "signal": 50}


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


def schedule(count=TASKS, *, start=0, **options):
    calls = (((f"{number:04}",), {}) for number in range(start, start + count))
    return {task.uid for task in crash.note_only.bulk(calls, **options)}


def work_off(crashes, mode, **options):
    with crashes.worker(*mode, **options) as worker:
        worker.wait_for_line("worker .* on")
        crashes.wait_for_no_rows()
        worker.terminate()
        assert worker.wait() == 0
    return worker


@pytest.mark.parametrize("hop", HOPS)
def test_kill_with_a_group_at_hop_loses_and_doubles_nothing(crashes, hop, mode):
    scheduled = schedule()
    with crashes.worker(*mode, at=hop, after=HOPS[hop], announced=True) as worker:
        assert worker.wait() == -signal.SIGKILL
    assert 0 < len(split(crashes.runs)[1]) < TASKS
    survivors = set(Task.objects.filter(locked_by=None).values_list("uid", flat=True))
    work_off(crashes, mode, announced=True)
    announced, runs = split(crashes.runs)
    done = list(CompletedTask.objects.values_list("uid", "attempts", "failed_at"))
    assert len(done) == TASKS
    assert {uid for uid, _, _ in done} == scheduled
    assert {failed_at for _, _, failed_at in done} == {None}
    assert {attempts for uid, attempts, _ in done if uid in survivors} <= {1}
    assert {attempts for _, attempts, _ in done} <= {1, 2}
    assert set(runs) == {f"{number:04}" for number in range(TASKS)}
    assert set(runs.values()) <= {1, 2}
    assert set(announced.values()) == {1}
    if hop == "signal" and not mode:  # what had been run was recorded, and nothing ran meanwhile
        assert set(runs.values()) == {1}


def split(runs):
    announced = Counter({key: n for key, n in runs.items() if key.startswith("announced:")})
    return announced, runs - announced


def test_kill_between_the_two_halves_of_a_group_repeats_each_task_once(crashes, mode):
    """On PostgreSQL plain tasks are committed before repeating ones; elsewhere all together."""
    for start in range(0, TASKS, 10):
        schedule(5, start=start)
        schedule(5, start=start + 5, repeat=3600)
    with crashes.worker(*mode, at="group", after=5) as worker:
        assert worker.wait() == -signal.SIGKILL
    with crashes.worker(*mode) as worker:
        worker.wait_for_line("worker .* on")
        crashes.wait_for(lambda: CompletedTask.objects.count() == TASKS)
        worker.terminate()
        assert worker.wait() == 0
    assert Task.objects.filter(attempts=0, locked_by=None, repeat=3600).count() == TASKS // 2
    assert Task.objects.count() == TASKS // 2
    assert len(crashes.runs) == TASKS
    assert set(crashes.runs.values()) <= {1, 2}


@pytest.mark.parametrize("killer", [crash.exit_process, crash.kill_worker], ids=["exit", "kill"])
def test_task_that_kills_its_worker_costs_its_neighbours_one_attempt_at_most(crashes, killer, mode):
    """I5: it uses up its own attempts and fails; what was in hand with it succeeds."""
    limit = 4
    innocents = schedule(60, priority=2)  # by these the worker learns to claim many ahead
    killer("killer", priority=1)
    innocents |= schedule(60)
    settings = {"BACKGROUND_TASK_MAX_ATTEMPTS": limit}
    for _ in range(limit):
        with crashes.worker(*mode, settings=settings) as worker:
            assert worker.wait() in (7, -signal.SIGKILL)
    assert crashes.runs["killer"] == limit
    work_off(crashes, mode, settings=settings)
    failed = CompletedTask.objects.get(failed_at__isnull=False)
    assert failed.attempts == limit
    assert f"attempt {limit} was lost" in failed.last_error
    done = dict(CompletedTask.objects.filter(failed_at=None).values_list("uid", "attempts"))
    assert set(done) == innocents
    assert set(done.values()) <= {1, 2}
    assert crashes.runs["killer"] == limit


def test_task_that_may_run_once_is_not_lost_to_a_neighbour_that_kills_the_worker(crashes):
    """With MAX_ATTEMPTS = 1 a task in hand would fail without ever having begun."""
    settings = {"BACKGROUND_TASK_MAX_ATTEMPTS": 1}
    schedule(40, priority=2)
    crash.kill_worker("killer", priority=1)
    behind = {crash.note_only("behind").uid for _ in range(40)}
    with crashes.worker(settings=settings) as worker:
        assert worker.wait() == -signal.SIGKILL
    assert Task.objects.filter(uid__in=behind, locked_by=None, attempts=0).count() == 40
    work_off(crashes, [], settings=settings)
    done = CompletedTask.objects.filter(uid__in=behind)
    assert list(done.values_list("attempts", "failed_at")) == [(1, None)] * 40
    assert CompletedTask.objects.filter(task_name__endswith="kill_worker").get().failed_at


ENDS = {
    "signal": ["SIGTERM"],
    "second signal": ["SIGTERM", "SIGTERM"],
    "interrupt": ["SIGINT"],
}


@pytest.mark.parametrize("names", ENDS.values(), ids=ENDS)
def test_end_by_signal_records_what_was_gathered_and_releases_what_is_in_hand(
    crashes, names, mode, tmp_path
):
    before = schedule(60, priority=2)
    crash.signal_worker("told", names, str(tmp_path / "told"), priority=1)
    schedule(3000, start=60)
    # Without threads the only task that is interrupted is the one that sends the signals. A thread
    # may be in the middle of one, whatever it has just noted, if the machine does not let it go on.
    interrupted = SLOTS.get(" ".join(mode), 0) if names == ENDS["second signal"] else 0
    with crashes.worker(*mode) as worker:
        assert worker.wait() == 0
    assert_nothing_is_left_behind(crashes, interrupted=interrupted)
    done = set(CompletedTask.objects.values_list("uid", flat=True))
    assert before <= done
    assert Task.objects.exists()
    work_off(crashes, mode)
    runs = crashes.runs
    told = runs.pop("told")
    assert told == 1 or names == ENDS["second signal"]  # that one is interrupted, and runs again
    assert set(runs.values()) <= {1, 2}
    assert sum(runs.values()) - len(runs) <= interrupted
    assert set(CompletedTask.objects.values_list("attempts", "failed_at")) == {(1, None)}


def test_end_of_duration_records_what_was_gathered_and_releases_what_is_in_hand(crashes, mode):
    schedule(20_000)
    with crashes.worker("--duration", "3", *mode) as worker:
        assert worker.wait() == 0
    assert_nothing_is_left_behind(crashes)
    assert set(crashes.runs.values()) == {1}


def assert_nothing_is_left_behind(crashes, *, interrupted=0):
    """Each run but those interrupted is recorded, and whatever was not run is as it was."""
    assert not Task.objects.filter(locked_by__isnull=False).exists()
    assert set(Task.objects.values_list("attempts", flat=True)) <= {0}
    recorded = CompletedTask.objects.filter(attempts=1, failed_at=None)
    not_done = crashes.runs["told"] if Task.objects.filter(task_params__contains="told") else 0
    assert recorded.count() == CompletedTask.objects.count()
    runs = sum(crashes.runs.values()) - not_done
    assert runs - interrupted <= recorded.count() <= runs
