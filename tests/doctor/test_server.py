"""What the doctor finds in the database itself, made to be so on the database of this run."""

import copy
import json
import re
import socket
import threading
from datetime import timedelta
from functools import partial

import django
import pytest
from django.db import connection, connections
from django.utils import timezone

from background_task.doctor import ADVICE, Limits, server
from background_task.models import Task, Worker
from background_task.store.server import Server
from tests.migrations.old import ALIAS
from tests.process import django_process
from tests.waiting import wait_until

NO_TIME = timedelta(0)
SERVERS = ("postgresql", "mariadb")


@pytest.fixture
def db(django_db_setup, django_db_blocker):
    """In place of pytest-django's, whose tests may not connect to an alias of their own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def alias(db):
    """Call it for another alias of the test database, with settings that differ."""
    made = []

    def make(name, **different):
        settings = copy.deepcopy(connections["default"].settings_dict)
        connections.databases[name] = settings | different
        made.append(name)
        return connections[name]

    yield make
    for name in made:
        connections[name].close()
        del connections[name]
        del connections.databases[name]


# -- clock and time zone ---------------------------------------------------------------------------


@pytest.mark.only_on(*SERVERS)
@pytest.mark.parametrize("seconds", [-30, 30])
def test_a_host_whose_clock_is_wrong_is_found(db, examine, monkeypatch, seconds):
    assert "clock" not in examine()
    right = timezone.now
    monkeypatch.setattr(server.timezone, "now", lambda: right() + timedelta(seconds=seconds))
    assert re.search(r"are 0:00:[23]\d", examine()["clock"].what)


@pytest.mark.only_on(*SERVERS)
def test_a_database_that_is_slow_to_answer_has_no_wrong_clock(db, examine, monkeypatch):
    right, asked = timezone.now, []

    def now():
        asked.append(1)
        return right() + timedelta(seconds=8 * (len(asked) > 1))

    monkeypatch.setattr(server.timezone, "now", now)
    assert "clock" not in examine()


@pytest.mark.only_on("sqlite", "mariadb")
def test_times_stored_as_on_the_wall_are_found(alias, examine):
    alias("wall", TIME_ZONE="Europe/Berlin")
    assert "stores times in Europe/Berlin" in examine("wall")["time-zone"].what
    alias("fixed", TIME_ZONE="Africa/Lagos")
    assert "time-zone" not in examine("fixed")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("zone", "is_found"), [("Europe/Berlin", True), ("Africa/Lagos", False)])
def test_a_project_without_time_zones_is_advised(zone, is_found):
    settings = {"USE_TZ": False, "TIME_ZONE": zone}
    with django_process("background_task_doctor", "--json", settings=settings) as process:
        process.wait()
    found = {finding["id"]: finding for finding in json.loads(process.output)["findings"]}
    assert ("time-zone" in found) == is_found
    assert not {"clock", "not-examined", "database-down"} & set(found)
    if is_found:
        assert found["time-zone"]["level"] == ADVICE


# -- transactions ----------------------------------------------------------------------------------


@pytest.mark.only_on(*SERVERS)
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_project_at_a_higher_isolation_level_is_found(alias, examine, level):
    assert "isolation" not in examine()
    options = dict(connection.settings_dict["OPTIONS"])
    alias("strict", OPTIONS=options | {"isolation_level": isolation_level(level)})
    assert f"run at {level.upper()}." in examine("strict")["isolation"].what


def isolation_level(name):
    if connection.vendor == "mysql":
        return name
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    return getattr(IsolationLevel, name.upper().replace(" ", "_")).value


@pytest.fixture
def forgotten(alias):
    """Another session that has begun a transaction, and its number."""
    other = alias("other")
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM background_task")
        number = {"postgresql": "pg_backend_pid()", "mysql": "CONNECTION_ID()"}[other.vendor]
        cursor.execute(f"SELECT {number}")
        yield cursor.fetchone()[0]
    other.close()


@pytest.mark.only_on(*SERVERS)
def test_a_transaction_that_somebody_forgot_is_found_until_the_remedy(forgotten, examine):
    assert "long-transaction" not in examine(transaction=timedelta(hours=1))
    find = partial(examine, transaction=NO_TIME)
    # MariaDB looks anew only when nobody has asked for a tenth of a second.
    finding = wait_until(lambda: find().get("long-transaction"), interval=0.3)
    assert f": {forgotten} (" in finding.what
    with connection.cursor() as cursor:
        cursor.execute(finding.remedy.partition("To end it now: ")[2].partition(";")[0])
    wait_until(lambda: "long-transaction" not in find(), interval=0.3)


@pytest.mark.only_on("mariadb")
def test_a_user_who_may_not_see_transactions_is_told(alias, examine):
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER 'plain'@'%'")
        cursor.execute(f"GRANT ALL ON `{name}`.* TO 'plain'@'%'")
    try:
        alias("plain", USER="plain")
        found = examine("plain")
        assert "PROCESS" in found["transactions-hidden"].what
        assert "isolation" not in found
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP USER 'plain'@'%'")


# -- PostgreSQL ------------------------------------------------------------------------------------


@pytest.mark.only_on("postgresql")
def test_dead_rows_that_nobody_removes_are_found_until_the_remedy(scratch, examine):
    with scratch.cursor() as cursor:
        cursor.execute("ALTER TABLE background_task SET (autovacuum_enabled = off)")
    tasks = Task.objects.using(ALIAS)
    tasks.bulk_create(Task(task_name="x", run_at=timezone.now()) for _ in range(300))
    tasks.update(priority=1)
    scratch.close()  # the server counts what a session did when it ends
    wait_until(lambda: "dead-rows" in examine(ALIAS, dead_rows=250))
    found = examine(ALIAS, dead_rows=250)
    assert "has 300 dead rows (vacuumed: never)" in found["dead-rows"].what
    assert "off for the table background_task." in found["autovacuum-off"].what
    assert "dead-rows" not in examine(ALIAS)
    with scratch.cursor() as cursor:
        for finding in (found["dead-rows"], found["autovacuum-off"]):
            command = finding.remedy.partition("then: ")[2] or finding.remedy
            cursor.execute(command.partition(";")[0])
    scratch.close()
    wait_until(lambda: "dead-rows" not in examine(ALIAS, dead_rows=250))
    assert "autovacuum-off" not in examine(ALIAS)


@pytest.fixture
def forwarder(db):
    """A port that leads to the server, as a proxy would."""
    target = (connection.settings_dict["HOST"], int(connection.settings_dict["PORT"]))
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(source, sink):
        with source, sink:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve():
        client, _ = listening.accept()
        server = socket.create_connection(target)
        threading.Thread(target=copy, args=(client.dup(), server.dup()), daemon=True).start()
        copy(server, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.close()
    thread.join(timeout=10)


@pytest.mark.only_on("postgresql")
def test_a_proxy_before_the_server_is_spoken_of(alias, examine, forwarder):
    assert "pooler" not in examine()
    behind = alias("behind", PORT=str(forwarder))
    finding = examine("behind")["pooler"]
    behind.close()
    assert finding.level == ADVICE
    assert finding.what.startswith("PostgreSQL answers on another port")


@pytest.mark.only_on("postgresql")
def test_a_connection_that_is_several_sessions_is_spoken_of(alias, examine, monkeypatch):
    sessions = [alias("one"), alias("two")]
    pooled = Server("one")._rows

    def ask(self, statement, params=None):
        if "pg_backend_pid(), inet" not in statement:
            return pooled(statement, params)
        sessions.reverse()  # as a pooler gives each transaction to whichever session is free
        with sessions[0].cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall()

    monkeypatch.setattr(Server, "_rows", ask)
    finding = examine("one")["pooler"]
    assert finding.what.startswith("Statements of one connection are answered by several")


@pytest.mark.only_on("postgresql")
@pytest.mark.parametrize(
    ("pool", "is_found"),
    [(None, False), ({"max_size": 5}, True), ({"max_size": 6}, False), (True, True)],
)
def test_a_pool_smaller_than_a_worker_needs_is_spoken_of(alias, pool, is_found):
    """Never opened: the tests do without the package of the pool."""
    alias("pooled", OPTIONS={"pool": pool})
    found = server.examine_pool("pooled", [Worker(capacity=4), Worker(capacity=1)])
    assert ("pool-small" in {finding.id for finding in found}) == is_found


# -- SQLite ----------------------------------------------------------------------------------------


@pytest.mark.only_on("sqlite")
def test_a_journal_that_locks_out_readers_is_found_until_the_remedy(scratch, examine):
    finding = examine(ALIAS)["sqlite-journal"]
    assert "is DELETE." in finding.what
    with scratch.cursor() as cursor:
        cursor.execute(finding.remedy.rpartition(" '")[2].strip("'"))
    assert "sqlite-journal" not in examine(ALIAS)


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize(("timeout", "is_found"), [(1, True), (5, False)])
def test_a_short_wait_for_the_lock_is_found(alias, examine, timeout, is_found):
    name = connection.settings_dict["NAME"]
    alias("hasty", NAME=name, OPTIONS={"timeout": timeout})
    assert ("sqlite-timeout" in examine("hasty")) == is_found


@pytest.mark.only_on("sqlite")
@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django has transaction_mode since 5.1")
def test_transactions_that_begin_without_the_lock_are_found(db, examine, monkeypatch):
    assert "check" not in examine()
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {"timeout": 30})
    assert "background_task.W003" in examine()["check"].what


@pytest.mark.only_on("sqlite")
def test_limits_of_the_command_are_these():
    assert Limits().transaction == timedelta(minutes=5)
    assert Limits().clock == timedelta(seconds=2)
