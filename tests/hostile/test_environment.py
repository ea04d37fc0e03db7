"""Workers in a world that is not as it should be."""

import signal
import uuid
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, OperationalError, connection
from django.db.backends.signals import connection_created

from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.store import get_store
from background_task.worker.outage import remedy_for
from tests.app.tasks import fail, hold, record
from tests.process import django_process, worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until
from tests.worker.faults import Refused
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {
    "INSTALLED_APPS": [*INSTALLED_APPS, "tests.hostile.apps.HostileConfig"],
    "BACKGROUND_TASK_LEASE_SECONDS": 8,  # nobody alive is so late, on any machine
}
DATABASE = django_settings.DATABASE


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


# -- before migrate --------------------------------------------------------------------------------


@contextmanager
def empty_database(tmp_path):
    """The environment of processes that use a database without tables."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    if DATABASE == "sqlite":
        yield {"BACKGROUND_TASK_TEST_NAME": str(tmp_path / name)}
        return
    quoted = connection.ops.quote_name(name)
    execute(f"CREATE DATABASE {quoted}")
    try:
        yield {"BACKGROUND_TASK_TEST_NAME": name}
    finally:
        force = " WITH (FORCE)" if DATABASE == "postgresql" else ""
        execute(f"DROP DATABASE {quoted}{force}")


def run_django(*arguments, env):
    with django_process(*arguments, env=env) as process:
        assert process.wait(120) == 0, process.output


def is_back(process):
    """Tell whether it has found the database again, each time that it had lost it."""
    output = process.output
    return output.count("The database is back") == output.count("The database cannot be used")


def test_worker_started_before_migrate_says_so_once_and_works_afterwards(tmp_path):
    code = "from tests.app.tasks import record; record('after migrate')"
    with (
        empty_database(tmp_path) as env,
        worker_process("--sleep", "0.1", "--queue", "q", env=env) as early,
        worker_process("--sleep", "0.1", env=env) as worker,
    ):
        told = worker.wait_for_line("The database cannot be used")
        assert "run `python manage.py migrate`" in told.string
        early.wait_for_line("The database cannot be used")
        assert worker.output.count("The database cannot be used") == 1
        run_django("migrate", "--run-syncdb", "--verbosity", "0", env=env)
        worker.wait_for_line("The database is back")
        run_django("shell", "-c", code, env=env)
        worker.wait_for_line(r"Ran task and deleting tests\.app\.tasks\.record")
        wait_until(lambda: is_back(early))  # the longer the tables took, the rarer it looks
        for process in (worker, early):
            process.terminate()
            assert process.wait() == 0
            # MariaDB's tables come one by one; a worker may meet the first before the others.
            assert process.output.count("The database cannot be used") <= 3
            assert "Traceback" not in process.output


def test_worker_that_never_sees_its_tables_can_be_stopped_and_tells_by_its_status(tmp_path):
    with (
        empty_database(tmp_path) as env,
        worker_process("--sleep", "0.1", env=env) as worker,
    ):
        worker.wait_for_line("The database cannot be used")
        worker.terminate()
        assert worker.wait() == 1
    assert "Traceback" not in worker.output


# -- a database that does not take writes ----------------------------------------------------------


@contextmanager
def pragma(statement):
    """Every SQLite connection of this process gets the pragma; ``lift()`` ends that."""
    is_on = True

    def apply(connection, **kwargs):
        if is_on:
            with connection.cursor() as cursor:
                cursor.execute(statement())

    def lift():
        nonlocal is_on
        is_on = False

    connection_created.connect(apply)
    connection.close()
    try:
        yield lift
    finally:
        lift()
        connection_created.disconnect(apply)
        connection.close()


def work_until_success(lift, *, ends_with):
    """Run a worker whose database is mended as soon as it complains."""
    worker = Worker(sleep=0.02)

    def watch(name, fields):
        if name == "outage":
            lift()
        return name == ends_with

    worker.run(until=watch)
    assert worker.events.names.count("outage") == 1
    assert worker.events.names.count("reconnect") == 1
    assert "late" not in worker.events.names
    return remedy_for(worker.events.of("outage")[0]["exception"])


@pytest.mark.only_on("sqlite")
def test_read_only_file_is_said_once_and_waited_for():
    record("a")
    with pragma(lambda: "PRAGMA query_only = ON") as lift:
        remedy = work_until_success(lift, ends_with="success")
    assert remedy == "make the database (and its folder) writable"
    assert CompletedTask.objects.get().attempts == 1


@pytest.mark.only_on("sqlite")
def test_full_disk_is_said_once_and_waited_for(settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    fail("x" * 90_000)  # its archive row needs pages that are not there
    execute("VACUUM")

    def no_more_pages():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            return f"PRAGMA max_page_count = {cursor.fetchone()[0] + 5}"

    with pragma(no_more_pages) as lift:
        remedy = work_until_success(lift, ends_with="failure")
    assert remedy == "free some disk space"
    assert CompletedTask.objects.get().attempts == 1


@contextmanager
def read_only_server():
    """Sessions of the workers may only read; this one may write. Yields their environment."""
    if DATABASE == "postgresql":
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        execute(
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        )
        try:
            yield {}
        finally:
            execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        return
    # A user without the right to write on a read-only server.
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    user = f"limited_{uuid.uuid4().hex[:8]}"
    try:
        execute(
            f"CREATE USER '{user}'@'%'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO '{user}'@'%'",
            "SET GLOBAL read_only = 1",
        )
    except DatabaseError as error:
        pytest.skip(f"this server cannot be made read-only for one user: {error}")
    try:
        yield {"BACKGROUND_TASK_TEST_USER": user}
    finally:
        execute("SET GLOBAL read_only = 0", f"DROP USER '{user}'@'%'")


def make_writable(worker):
    if DATABASE == "postgresql":
        name = connection.settings_dict["NAME"]
        execute(
            f"ALTER DATABASE {connection.ops.quote_name(name)} RESET default_transaction_read_only",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        )
    else:
        execute("SET GLOBAL read_only = 0")


@pytest.mark.only_on("postgresql", "mariadb")
def test_read_only_server_is_said_once_and_waited_for():
    record("a")
    with (
        read_only_server() as env,
        worker_process("--sleep", "0.1", env=env) as worker,
    ):
        told = worker.wait_for_line("The database cannot be used")
        assert "make the database (and its folder) writable" in told.string
        make_writable(worker)
        worker.wait_for_line("The database is back")
        worker.wait_for_line("Ran task")
        worker.terminate()
        assert worker.wait() == 0
        assert worker.output.count("The database cannot be used") == 1
    assert CompletedTask.objects.get().attempts == 1


FULL = [
    "database or disk is full",
    'could not extend file "base/1/2": No space left on device',
    "(1114, \"The table 'background_task' is full\")",
]


@pytest.mark.parametrize("message", FULL)
@pytest.mark.parametrize("verb", ["claim", "finish"])
def test_full_disk_as_each_database_puts_it_is_waited_for(registry, verb, message):
    runs = []
    registry.background(name="once")(lambda: runs.append(1))()
    store = get_store()
    if verb == "finish":  # one by one, as the group was refused
        Refused(store, "finish_many", OperationalError(message))
    Refused(store, verb, OperationalError(message), times=4)
    worker = Worker(store=store, sleep=0.02)
    worker.run()
    assert runs == [1]
    assert worker.events.names.count("outage") == 1
    assert worker.events.names.count("reconnect") == 1
    assert remedy_for(worker.events.of("outage")[0]["exception"]) == "free some disk space"
    assert CompletedTask.objects.get().attempts == 1


# -- clocks and twins ------------------------------------------------------------------------------


def strange_worker(**env):
    return worker_process("--sleep", "0.1", "--threads", "2", settings=SETTINGS, env=env)


@pytest.mark.only_on("postgresql", "mariadb")
def test_clock_an_hour_off_changes_nothing():
    """The server's clock decides (I6). SQLite has none but the host's."""
    now = get_store().now()
    later = record("later", schedule=timedelta(minutes=20))
    failing = fail()
    with (
        strange_worker(HOSTILE_CLOCK="3600") as fast,
        strange_worker(HOSTILE_CLOCK="-3600") as slow,
    ):
        wait_until(lambda: WorkerRow.objects.count() == 2, deadline=30)
        fast.wait_for_line("worker .* on")
        wait_until(lambda: Task.objects.get(pk=failing.pk).attempts == 1)
        record("due")
        wait_until(CompletedTask.objects.exists)
        beats = set(WorkerRow.objects.values_list("heartbeat_at", flat=True))
        wait_until(  # both go on living, and neither takes the other for dead
            lambda: not beats & set(WorkerRow.objects.values_list("heartbeat_at", flat=True))
        )
        for worker in (fast, slow):
            worker.terminate()
            assert worker.wait() == 0
            assert "lost" not in worker.output
            assert "for dead" not in worker.output
    minute = timedelta(minutes=1)
    assert Task.objects.get(pk=later.pk).attempts == 0
    assert Task.objects.get(pk=failing.pk).run_at - now < minute
    assert abs(CompletedTask.objects.get().run_at - now) < minute
    for row in WorkerRow.objects.all():
        assert abs(row.started_at - now) < minute


def test_twins_in_two_containers_are_told_apart(tmp_path):
    first, second = (hold(key, str(tmp_path / key)) for key in ("a", "b"))
    with (
        strange_worker(HOSTILE_TWIN="1") as one,
        strange_worker(HOSTILE_TWIN="1") as two,
    ):
        wait_until(lambda: WorkerRow.objects.count() == 2, deadline=30)
        wait_until(lambda: not Task.objects.filter(locked_by=None).exists(), deadline=30)
        third = hold("c", str(tmp_path / "c"))
        wait_until(lambda: Task.objects.get(pk=third.pk).locked_by, deadline=30)
        names = set(WorkerRow.objects.values_list("name", flat=True))
        assert len(names) == 2
        assert {name.rpartition(":")[0] for name in names} == {"container:1"}
        victim = name_in(one)
        held = set(Task.objects.filter(locked_by=victim).values_list("pk", flat=True))
        one.kill()
        assert one.wait() == -signal.SIGKILL
        for key in "abc":
            (tmp_path / key).touch()
        wait_until(lambda: not Task.objects.exists(), deadline=60)
        two.terminate()
        assert two.wait() == 0
    uids = {task.pk: task.uid for task in (first, second, third)}
    for pk, uid in uids.items():
        assert CompletedTask.objects.get(uid=uid).attempts == (2 if pk in held else 1)


def name_in(worker):
    return worker.wait_for_line(r"worker (container:1:\w+) on").group(1)


# -- what only a process of its own can lose -------------------------------------------------------


def test_process_whose_standard_output_was_closed_goes_on(tmp_path):
    from tests.hostile import tasks as hostile

    hostile.close_descriptor_of_stdout()
    env = {"HOSTILE_FOLDER": str(tmp_path)}
    with worker_process("--sleep", "0.1", settings=SETTINGS, env=env) as worker:
        wait_until(CompletedTask.objects.exists, deadline=30)
        for number in range(3):
            hostile.probe(f"next {number}")
        wait_until(lambda: CompletedTask.objects.count() == 4)
        worker.terminate()
        assert worker.wait() == 0
    assert Path(tmp_path, "next 2").exists()
    assert not CompletedTask.objects.exclude(attempts=1).exists()


def test_text_that_the_terminal_cannot_show_is_shown_escaped():
    fail("real error: \ud800 and \u0416")
    record("next")
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"}
    with worker_process("--sleep", "0.1", env=env) as worker:
        worker.wait_for_line(r"real error: \\ud800 and \\u0416")
        worker.wait_for_line("Ran task")
        worker.terminate()
        assert worker.wait() == 0
    assert "Logging error" not in worker.output
