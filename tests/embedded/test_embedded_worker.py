"""The worker inside the site's own process."""

import os
import signal
import threading
from contextlib import suppress
from itertools import count

import pytest

from background_task import embedded_worker
from background_task.checks import check_embedded_worker
from background_task.embedded_worker import Host, Place, place_of, read_options
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import Task, Worker
from background_task.payload import encode, task_hash
from background_task.store import Fleet, get_store
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.embedded.leftovers import assert_nothing_is_left
from tests.process import ROOT, django_process
from tests.settings import INSTALLED_APPS
from tests.store.rows import LEASE
from tests.waiting import wait_until

outside = pytest.mark.django_db(transaction=True)
ON = {"BACKGROUND_TASK_EMBEDDED_WORKER": True}
STARTED = r"A worker runs inside this process: (embedded:\w+)"
SERVES = "Quit the server with CONTROL-C"
COMMANDS = {"runserver", "runserver_plus", "migrate", "shell", "test", "process_tasks", "check"}


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        ("manage.py runserver", {}, Place.RELOADER),
        ("manage.py runserver", {"RUN_MAIN": "true"}, Place.AT_ONCE),
        ("manage.py runserver 0:8000 --noreload", {}, Place.AT_ONCE),
        ("manage.py runserver_plus", {}, Place.AT_REQUEST),
        ("manage.py migrate", {}, Place.NOWHERE),
        ("manage.py migrate", {"RUN_MAIN": "true"}, Place.NOWHERE),
        ("manage.py shell", {}, Place.NOWHERE),
        ("manage.py test", {}, Place.NOWHERE),
        ("manage.py process_tasks --dev", {"RUN_MAIN": "true"}, Place.NOWHERE),
        ("/venv/bin/django-admin check", {}, Place.NOWHERE),
        ("/venv/lib/django/__main__.py runserver", {"RUN_MAIN": "true"}, Place.AT_ONCE),
        ("gunicorn shop.wsgi", {}, Place.AT_REQUEST),
        ("gunicorn --preload shop.wsgi", {}, Place.AT_REQUEST),
        ("uvicorn shop.asgi:application --workers 4", {}, Place.AT_REQUEST),
        ("uwsgi", {}, Place.AT_REQUEST),
        ("demo.py --serve", {}, Place.AT_REQUEST),
    ],
)
def test_place_of_a_process_is_told_by_its_command_line(argv, environ, expected):
    found = place_of(argv.split(), environ, commands=COMMANDS, is_testing=False)
    assert found is expected
    nowhere = place_of(argv.split(), environ, commands=COMMANDS, is_testing=True)
    assert nowhere is Place.NOWHERE


def test_place_in_a_test_is_nowhere():
    assert embedded_worker.place_here() is Place.NOWHERE


@pytest.mark.parametrize(
    ("value", "expected"),
    [(False, False), (True, True), ({}, True), ({"threads": 2}, True), ("yes", False)],
)
def test_is_wanted_if_the_setting_says_so(settings, value, expected):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = value
    assert embedded_worker.is_wanted() is expected


def test_read_options_are_those_of_a_runner(settings):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    assert read_options() == {"workers": 1, "shutdown_timeout": 5.0}
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = {"threads": 2, "queues": ["a"], "periodic": False}
    assert read_options() == {
        "workers": 2,
        "queues": ["a"],
        "init_periodic": False,
        "shutdown_timeout": 5.0,
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"workers": 2}, r"'workers' is no option of it; use threads, queues, "),
        ({"threads": 0}, r"^threads 0 would run nothing"),
        ({"sleep": -1}, r"^sleep -1"),
        ({"periodic": 1}, r"periodic 1 is no bool"),
        ({"queues": ["a"], "exclude_queues": ["b"]}, r"use one of them"),
    ],
)
def test_options_that_cannot_work_are_refused_and_reported(settings, value, error):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = value
    with pytest.raises(InvalidOptionError, match=error):
        read_options()
    assert [each.id for each in check_embedded_worker()] == ["background_task.E008"]


def test_option_of_a_type_that_cannot_work_is_refused_and_reported(settings):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = {"threads": "x"}
    with pytest.raises(InvalidOptionTypeError, match=r"^threads 'x' is of type str"):
        read_options()
    assert [each.id for each in check_embedded_worker()] == ["background_task.E008"]


@pytest.mark.parametrize("value", [True, {"threads": 2}, "reported as E001"])
def test_options_that_can_work_are_not_reported(settings, value):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = value
    assert check_embedded_worker() == []


# -- the process that has it --------------------------------------------------------------------


@pytest.fixture
def host(monkeypatch):
    """A process of a server, as far as this one can tell."""
    monkeypatch.setattr(embedded_worker, "place_here", lambda: Place.AT_REQUEST)
    host = Host()
    yield host
    host.leave()


def test_request_in_a_process_that_may_not_is_never_looked_at_again(monkeypatch):
    places = []
    monkeypatch.setattr(embedded_worker, "place_here", lambda: places.append(1) or Place.NOWHERE)
    host = Host()
    host.on_request()
    host.on_request()
    assert (len(places), host._thread) == (1, None)


def test_two_requests_that_come_at_once_begin_one(host, monkeypatch):
    """Both have seen that it is time before the first of them has begun."""
    begun, ended = [], threading.Event()
    monkeypatch.setattr(Host, "_be_host", lambda host: (begun.append(1), ended.wait(30)))
    with host._lock:
        rivals = [threading.Thread(target=host._begin) for _ in range(2)]
        for rival in rivals:
            rival.start()
    for rival in rivals:
        rival.join(30)
    wait_until(lambda: begun)
    ended.set()
    host._thread.join(30)
    assert begun == [1]


@outside
def test_first_request_begins_and_leaving_ends(host, settings):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    record("a")
    host.on_request()
    host.on_request()
    wait_until(lambda: Ledger.objects.filter(key="a").exists())
    host.leave()
    wait_until(lambda: not host._thread.is_alive())
    worker = Worker.objects.get()
    assert worker.stopped_at is not None
    assert worker.name.startswith("embedded:")
    host.on_request()
    assert Worker.objects.count() == 1


@outside
def test_forked_process_begins_anew(host, settings, caplog):
    """It has copies of threads that do not run, and of locks that nobody gives back."""
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    host.on_request()
    wait_until(lambda: Worker.objects.exists())
    parent_runner, parent_thread = host._runner, host._thread
    host._lock.acquire()
    host.forget()
    assert (host._runner, host._thread) == (None, None)
    host.on_request()  # in the child, while the parent lives
    wait_until(lambda: not host._thread.is_alive())
    assert f"process {os.getpid()} on" in caplog.text
    parent_runner.stop()
    parent_thread.join(30)


@outside
def test_begin_where_another_process_has_it_is_refused_once_and_tried_again(host, settings, caplog):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    settings.BACKGROUND_TASK_LEASE_SECONDS = 1000
    fleet = Fleet(get_store().using)
    fleet.register("embedded:0a1b2c3d", queues="", capacity=1, lease=LEASE)
    Worker.objects.update(host="elsewhere", pid=7)
    for _ in range(2):
        host._next_at = 0.0
        host.on_request()
        wait_until(lambda: not host._thread.is_alive())
    assert len(caplog.records) == 1
    assert "process 7 on elsewhere has it (embedded:0a1b2c3d)" in caplog.text
    assert "start `python manage.py process_tasks`" in caplog.text
    thread = host._thread
    host.on_request()  # it is too early
    assert host._thread is thread
    fleet.retire("embedded:0a1b2c3d")
    host._next_at = 0.0
    host.on_request()
    wait_until(lambda: Worker.objects.filter(stopped_at=None).exists())


@outside
def test_two_that_begin_at_once_do_not_both_leave(settings, monkeypatch):
    """Neither sees the other at first; both do when they are entered."""
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    monkeypatch.setattr(embedded_worker, "place_here", lambda: Place.AT_REQUEST)
    at_once = threading.Barrier(2)
    first_looks = []
    look = Host._is_taken

    def look_at_once(host):
        is_taken = look(host)
        if host not in first_looks:
            first_looks.append(host)
            with suppress(threading.BrokenBarrierError):
                at_once.wait(30)
        return is_taken

    monkeypatch.setattr(Host, "_is_taken", look_at_once)
    hosts = [Host(), Host()]
    try:
        for host in hosts:
            host.on_request()
        wait_until(lambda: sum(host._thread.is_alive() for host in hosts) == 1)
        assert Worker.objects.filter(stopped_at=None).count() == 1
    finally:
        for host in hosts:
            host.leave()


def test_database_in_memory_is_said_to_be_none_for_it(host, settings, caplog, monkeypatch):
    settings.BACKGROUND_TASK_EMBEDDED_WORKER = True
    monkeypatch.setattr(Host, "_is_taken", lambda host: False)
    monkeypatch.setattr("background_task.embedded.is_in_memory", lambda using: True)
    host.on_request()
    wait_until(lambda: not host._thread.is_alive())
    assert "No worker runs inside this process: the database 'default' is SQLite" in caplog.text


def test_sigterm_leaves_and_then_ends_as_ever(monkeypatch):
    seen = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: seen.append(handler))
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number)))
    host = Host()
    host._on_signal(signal.SIGTERM, None)
    assert host._is_leaving.is_set()
    assert seen == [signal.SIG_DFL, (os.getpid(), signal.SIGTERM)]


# -- real servers -------------------------------------------------------------------------------


@outside
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runserver_works_from_the_start_and_hands_back_at_the_end(tmp_path, number):
    settings = {"BACKGROUND_TASK_EMBEDDED_WORKER": {"threads": 2, "shutdown_timeout": 0.1}}
    held = hold("held", str(tmp_path / "never"))
    record("a")
    with django_process("runserver", "--noreload", "127.0.0.1:0", settings=settings) as server:
        server.wait_for_line(STARTED)
        server.wait_for_line(SERVES)
        wait_until(lambda: Ledger.objects.filter(key="a").exists())
        wait_until(lambda: Ledger.objects.filter(key="held:started").exists())
        server.send_signal(number)
        assert server.wait() == (0 if number == signal.SIGINT else -signal.SIGTERM)
    assert_nothing_is_left()
    row = Task.objects.get(uid=held.uid)
    assert (row.attempts, row.last_error) == (0, "")


TASKS = """
from background_task import background
from tests.app.models import Ledger


@background
def speak():
    Ledger.objects.create(key="{word}")
"""


def call_speak():
    name, params = "reloaded.tasks.speak", encode((), {})
    store = get_store()
    store.add(
        Task(
            task_name=name,
            task_params=params,
            task_hash=task_hash(name, params),
            run_at=store.now(),
        )
    )


@outside
@pytest.mark.slow
@pytest.mark.only_on("sqlite")  # no database has a part in it
def test_autoreload_runs_the_new_code_and_ctrl_c_leaves_nothing(tmp_path):
    code = tmp_path / "reloaded" / "tasks.py"
    code.parent.mkdir()
    (code.parent / "__init__.py").touch()
    code.write_text(TASKS.format(word="old"))
    call_speak()
    with django_process(
        *("runserver", "127.0.0.1:0"),
        settings={**ON, "INSTALLED_APPS": [*INSTALLED_APPS, "reloaded"], "DEBUG": True},
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    ) as server:
        server.wait_for_line(STARTED)
        server.wait_for_line(SERVES)
        wait_until(lambda: Ledger.objects.filter(key="old").exists())
        code.write_text(TASKS.format(word="new word"))
        moments = count(code.stat().st_mtime + 1)

        def is_change_seen():
            """A change that came before the reloader's first look is none to it."""
            os.utime(code, (next(moments),) * 2)
            return "changed, reloading" in server.output

        wait_until(is_change_seen, interval=0.5)
        server.wait_for_line(STARTED, count=2)
        server.wait_for_line(SERVES, count=2)
        call_speak()
        wait_until(lambda: Ledger.objects.filter(key="new word").exists())
        assert Worker.objects.filter(stopped_at=None).count() == 1
        os.killpg(server.pid, signal.SIGINT)  # as a terminal does
        assert server.wait() == 0
    assert_nothing_is_left()


@outside
@pytest.mark.slow
@pytest.mark.only_on("sqlite")
def test_interrupt_of_the_reloader_alone_is_handed_on():
    with django_process("runserver", "127.0.0.1:0", settings=ON) as server:
        server.wait_for_line(STARTED)
        server.wait_for_line(SERVES)
        server.interrupt()
        assert server.wait() == 0
    assert_nothing_is_left()
