"""SQLite: an idle worker notices what others commit, and is in nobody's way."""

import os
import sqlite3
from pathlib import Path

import pytest
from django.db import connection
from django.db.utils import ConnectionHandler

from background_task.wakeup import Wakeup, data_version, make_wakeup
from background_task.wakeup.data_version import DataVersion
from tests.wakeup.conftest import DEADLINE_SECONDS, FOR_EVER

pytestmark = pytest.mark.only_on("sqlite")


class File:
    """A database file that Django knows under the name ``default``."""

    def __init__(self, path: Path, *, journal: str) -> None:
        self.path = path
        self.others: list[sqlite3.Connection] = []
        self.handler = ConnectionHandler(
            {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}}
        )
        writer = self.open()
        writer.execute(f"PRAGMA journal_mode = {journal}")
        writer.execute("CREATE TABLE t (x)")

    def open(self) -> sqlite3.Connection:
        """Somebody else's connection, who waits for no lock."""
        other = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        self.others.append(other)
        return other

    def write(self) -> None:
        self.others[0].execute("INSERT INTO t VALUES (1)")

    def write_beside_a_reader(self) -> None:
        """As users' connections do: whoever asks has a read lock for some microseconds."""
        self.others[0].execute(f"PRAGMA busy_timeout = {DEADLINE_SECONDS * 1000:.0f}")
        self.write()

    def close(self) -> None:
        for other in self.others:
            other.close()
        self.handler.close_all()


@pytest.fixture(params=["delete", "wal"])
def file(request, tmp_path, monkeypatch, django_db_blocker):
    with django_db_blocker.unblock():
        file = File(tmp_path / "odd name?#%.sqlite3", journal=request.param)
        monkeypatch.setattr(data_version, "connections", file.handler)
        yield file
        file.close()


@pytest.fixture
def wakeup(file, polling):
    wakeup = DataVersion("default", polling)
    yield wakeup
    wakeup.close()


def is_noticing(wakeup):
    return wakeup.longest_pause(0.0, FOR_EVER) == FOR_EVER


def test_commit_of_somebody_else_ends_the_wait(wakeup, file, waiting):
    wakeup.arm()
    assert is_noticing(wakeup)
    thread = waiting()
    file.write_beside_a_reader()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_commit_between_arm_and_wait_ends_the_wait(wakeup, file, waiting):
    wakeup.arm()
    file.write()
    thread = waiting()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_commit_between_two_waits_ends_the_second(wakeup, file, waiting):
    wakeup.arm()
    wakeup.wait(0.02)
    file.write()
    thread = waiting()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_what_was_committed_before_arm_is_no_news(wakeup, file):
    wakeup.arm()
    file.write()
    wakeup.arm()
    assert wakeup._version() == wakeup._seen


def test_rollback_is_no_news(wakeup, file):
    wakeup.arm()
    file.others[0].execute("BEGIN IMMEDIATE")
    file.write()
    file.others[0].execute("ROLLBACK")
    assert wakeup._version() == wakeup._seen


def test_waiting_worker_and_writer_with_the_file_to_itself(wakeup, file, waiting):
    wakeup.arm()
    wakeup.wait(0.02)
    file.others[0].execute("BEGIN EXCLUSIVE")  # nobody holds a lock: it does not have to wait
    wakeup.wait(0.02)
    assert is_noticing(wakeup)
    thread = waiting()
    file.write()
    file.others[0].execute("COMMIT")
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_asking_holds_no_lock_between_questions(wakeup, file):
    wakeup.arm()
    for _ in range(200):
        assert wakeup._version() is not None
        file.others[0].execute("BEGIN EXCLUSIVE")
        file.others[0].execute("COMMIT")


def test_its_connection_cannot_write(wakeup):
    wakeup.arm()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        wakeup._reader._connection.execute("INSERT INTO t VALUES (2)")


def test_close_gives_back_the_file(wakeup, file):
    wakeup.arm()
    reader = wakeup._reader
    wakeup.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader.version()
    assert not is_noticing(wakeup)


def test_file_that_is_replaced_is_opened_again(wakeup, file, waiting):
    wakeup.arm()
    other = file.path.with_name("other.sqlite3")
    new = sqlite3.connect(other, isolation_level=None)
    new.execute("CREATE TABLE t (x)")
    new.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{file.path}{suffix}").unlink(missing_ok=True)
    os.replace(other, file.path)
    wakeup.arm()
    thread = waiting()
    new = sqlite3.connect(file.path, isolation_level=None)
    new.execute("INSERT INTO t VALUES (1)")
    new.close()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_file_that_is_deleted_is_not_made_again(wakeup, file):
    wakeup.arm()
    file.path.unlink()
    wakeup.wait(0.02)
    wakeup.arm()
    wakeup.wait(0.02)
    assert not is_noticing(wakeup)
    assert not file.path.exists()


def test_file_that_is_no_database_any_more_is_polled(wakeup, file):
    wakeup.arm()
    wakeup.close()
    file.close()
    file.path.write_bytes(b"x" * 10_000)
    wakeup.wait(0.02)
    wakeup.arm()
    wakeup.wait(0.02)
    assert not is_noticing(wakeup)


def test_worker_beside_a_busy_neighbour_looks_ten_times_a_second(wakeup, file, clock, monkeypatch):
    monkeypatch.setattr(data_version, "time", clock)
    monkeypatch.setattr(wakeup.polling, "wait", clock.pass_by)
    looks, end = 0, clock.now + 10
    wakeup.arm()
    while clock.now < end:
        file.write()
        wakeup.wait(FOR_EVER)
        looks += 1
    assert looks <= 110
    wakeup.disarm()
    file.write()
    before = clock.now
    wakeup.wait(FOR_EVER)
    assert clock.now == before


def test_database_in_memory_is_polled(polling, monkeypatch, django_db_blocker):
    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    )
    monkeypatch.setattr("background_task.wakeup.connections", handler)
    assert type(make_wakeup("default", polling)) is Wakeup


@pytest.mark.django_db(transaction=True)
def test_database_of_this_run_is_a_file(polling):
    wakeup = make_wakeup("default", polling)
    wakeup.arm()
    assert is_noticing(wakeup)
    assert wakeup._reader.is_current()
    assert connection.vendor == "sqlite"
    wakeup.close()
