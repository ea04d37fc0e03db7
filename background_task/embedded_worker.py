"""The worker inside a site's own process: in ``runserver``, and in servers of small sites.

Where it may run is decided by ``place_of``; that it runs once is the work of its label, which no
two living workers have.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import multiprocessing.util
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from types import FrameType
from typing import Any

from django.apps import apps
from django.core import mail
from django.core.management import get_commands
from django.core.signals import request_started
from django.db import Error

from . import telemetry, worker_log
from .embedded import Runner
from .exceptions import (
    BackgroundTaskError,
    DuplicateWorkerError,
    InvalidOptionError,
    InvalidOptionTypeError,
    brief,
)
from .reloader import SERVING_CHILD, be_patient
from .settings import SETTINGS, app_settings
from .store import Fleet, task_database
from .worker.asked import options_of
from .worker.hygiene import close_connections

logger = logging.getLogger(__name__)

#: What its names begin with; so there is one for all processes of a site, on all machines.
LABEL = "embedded"
#: The options, and what ``Runner`` calls them.
OPTIONS = {
    "threads": "workers",
    "queues": "queues",
    "exclude_queues": "exclude_queues",
    "backend": "backend",
    "sleep": "loop_delay",
    "periodic": "init_periodic",
    "shutdown_timeout": "shutdown_timeout",
}
#: Nobody wants to wait for a server that is to be restarted.
USUAL: dict[str, Any] = {"workers": 1, "shutdown_timeout": 5.0}
#: How much longer than running tasks the end may take.
LAST_SECONDS = 10.0
#: How often it is tried again at once if two processes have stood in each other's way.
TIES = 5


class Place(Enum):
    """Whether a worker may run in a process, and when it begins."""

    NOWHERE = "nowhere"
    #: The process that only starts the serving one again and again.
    RELOADER = "reloader"
    AT_ONCE = "at once"
    #: Not before: until then, the process may be one that only forks those that serve.
    AT_REQUEST = "at the first request"


def place_of(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    commands: Collection[str],
    is_testing: bool,
) -> Place:
    """Tell whether a worker may run in a process.

    Args:
        argv: Its command line.
        environ: Its environment.
        commands: The names of all management commands. Of these only servers may have one.
        is_testing: Whether Django's test environment is set up.
    """
    name = argv[1] if len(argv) > 1 else ""
    if is_testing or (name in commands and not name.startswith("runserver")):
        return Place.NOWHERE
    if name != "runserver":
        return Place.AT_REQUEST
    if "--noreload" in argv or environ.get(SERVING_CHILD) == "true":
        return Place.AT_ONCE
    return Place.RELOADER


def place_here() -> Place:
    """Tell whether a worker may run in this process."""
    return place_of(
        sys.argv, os.environ, commands=get_commands(), is_testing=hasattr(mail, "outbox")
    )


def is_wanted() -> bool:
    """Tell whether the settings ask for it."""
    value = SETTINGS["EMBEDDED_WORKER"].read()
    return value is True or isinstance(value, dict)


def read_options() -> dict[str, Any]:
    """Return what the settings say of it, as the keywords of ``Runner``.

    Raises:
        InvalidOptionError: There is no such option, or its value cannot work.
        InvalidOptionTypeError: A value is of a type that cannot work.
        ImproperlyConfigured: A backend is not ours, or runs its tasks at once.
    """
    value = app_settings.BACKGROUND_TASK_EMBEDDED_WORKER
    given = value if isinstance(value, dict) else {}
    for name in given:
        if name not in OPTIONS:
            raise InvalidOptionError(f"{brief(name)} is no option of it; use {', '.join(OPTIONS)}")
    keywords = {**USUAL, **{OPTIONS[name]: value for name, value in given.items()}}
    if not isinstance(keywords.get("init_periodic", True), bool):
        raise InvalidOptionError(
            f"periodic {brief(keywords['init_periodic'])} is no bool; use True or False"
        )
    checked = {name: value for name, value in keywords.items() if name != "init_periodic"}
    usual = {"queues": (), "exclude_queues": (), "backend": None, "loop_delay": 1.0}
    try:
        options_of(**{"worker_id": LABEL, **usual, **checked})
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        raise type(error)(_by_its_key(str(error))) from error
    return keywords


def _by_its_key(message: str) -> str:
    """Return a message about an argument of ``Runner`` as one about a key of the setting."""
    name, _, rest = message.partition(" ")
    keys = {keyword: key for key, keyword in OPTIONS.items()}
    return f"{keys.get(name, name)} {rest}"


class Host:
    """The process that may have the worker in it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, also in a forked process: what the other one had does not run in here."""
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._is_leaving = threading.Event()
        #: How far a server's end has come that waits for this: asked for, possible, wanted at once.
        self._is_asked = self._has_left = self._is_hurried = False
        self._patience = 0.0
        #: When to try next, by ``time.monotonic()``.
        self._next_at = 0.0
        self._told_of = ""

    def install(self, place: Place) -> None:
        """Have a worker here, from now on or from the first request on."""
        if place is Place.RELOADER:
            be_patient()
        if place not in (Place.AT_ONCE, Place.AT_REQUEST):
            return
        request_started.connect(self.on_request, dispatch_uid="background_task.embedded_worker")
        atexit.register(self.leave)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)
        if threading.current_thread() is threading.main_thread():
            self._handle_signals()
        if place is Place.AT_ONCE:
            self._begin()

    # -- beginning ------------------------------------------------------------------------------

    def on_request(self, **kwargs: Any) -> None:
        """Try to begin if it is time to; a receiver of ``request_started``."""
        if time.monotonic() >= self._next_at:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            # Two rivals: two requests that both have seen that it is time. The thread of the second
            # would take the place of the first one's, and nobody would wait for that at the end.
            if time.monotonic() < self._next_at:
                return
            self._next_at = float("inf")
            if self._is_leaving.is_set() or place_here() is Place.NOWHERE:
                return
            if self._thread is None and multiprocessing.parent_process() is not None:
                # Such a process may end without what atexit has.
                multiprocessing.util.Finalize(None, self.leave, exitpriority=0)
            self._thread = threading.Thread(
                target=self._be_host, name="background_task embedded", daemon=True
            )
            self._thread.start()

    def _be_host(self) -> None:
        apps.ready_event.wait()
        try:
            self._work()
        except BackgroundTaskError as error:
            logger.error("No worker runs inside this process: %s", error)
        except Exception:
            logger.exception("The worker inside this process has ended by an error")
        finally:
            close_connections()
            # Later ones than the holder's end are soon enough; all at once would hinder each other.
            pause = app_settings.BACKGROUND_TASK_LEASE_SECONDS * random.uniform(0.4, 0.6)
            self._next_at = time.monotonic() + pause

    def _work(self) -> None:
        """Work until told to stop, unless another process does.

        Of two that start at once both may see the other, and leave. They try again, at times that
        are not the same.
        """
        keywords = read_options()
        for _ in range(TIES):
            if self._is_taken():
                return
            runner = Runner(worker_id=LABEL, **keywords)
            self._patience = runner.shutdown_seconds + LAST_SECONDS
            self._runner = runner
            # In this order: whoever leaves says so first, and then looks for the runner.
            if self._is_leaving.is_set():
                return
            try:
                with (
                    telemetry.subscribed(self._log, to=worker_log.MESSAGES),
                    telemetry.subscribed(self._announce, to=("heartbeat",)),
                ):
                    runner.run()
                return
            except DuplicateWorkerError:
                self._is_leaving.wait(random.uniform(0.1, 1.0))

    def _is_taken(self) -> bool:
        """Tell whether another process has it; say so once of each."""
        try:
            holder = Fleet(task_database()).holder(LABEL)
        except Error:  # the worker will wait for the database, and say what is wrong
            return False
        if holder is not None and holder.name != self._told_of:
            self._told_of = holder.name
            logger.warning(
                "No worker runs inside this process (%d): there is one of a site, and process %d "
                "on %s has it (%s). For more of them start `python manage.py process_tasks`",
                os.getpid(),
                holder.pid,
                holder.host,
                holder.name,
                extra={"event": "embedded_refused"},
            )
        return holder is not None

    def _announce(self, name: str, fields: Mapping[str, Any]) -> None:
        """Say that it runs, once it is entered in the database: by its own thread."""
        if threading.current_thread() is not self._thread or fields["worker"] == self._told_of:
            return
        self._told_of = fields["worker"]
        text = f"A worker runs inside this process: {self._told_of}"
        logger.info(text, extra={"event": "embedded_start"})
        is_logged = logger.hasHandlers() and logger.isEnabledFor(logging.INFO)
        if place_here() is Place.AT_ONCE and not is_logged:
            with suppress(OSError, ValueError):
                sys.stdout.write(f"{text} (BACKGROUND_TASK_EMBEDDED_WORKER)\n")
                sys.stdout.flush()

    def _log(self, name: str, fields: dict[str, Any]) -> None:
        worker_log.write(logger, name, fields)

    # -- ending ---------------------------------------------------------------------------------

    def leave(self) -> None:
        """Stop it, and wait until it has handed back its rows, unless interrupted."""
        self._is_leaving.set()
        runner, thread = self._runner, self._thread
        if thread is None or not thread.is_alive() or self._is_hurried:
            return
        if threading.current_thread() is threading.main_thread():
            ignore_repeats()
        if runner is not None:
            runner.stop(0)
        with suppress(KeyboardInterrupt, SystemExit):  # a second Ctrl-C
            thread.join(self._patience or LAST_SECONDS)

    def _handle_signals(self) -> None:
        """Leave in order at the signals that would end the process before ``atexit`` is called.

        So it is with signals that nobody handles, and with those of uvicorn: it serves its requests
        to their ends, gives back the handlers there were, and sends itself the signal again.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler is signal.SIG_DFL:
                signal.signal(number, self._on_signal)
            elif is_of_uvicorn(handler):
                signal.signal(number, partial(self._on_signal_to_server, handler))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """End as if there had been no handler, but in order."""
        self.leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _on_signal_to_server(self, handler: Any, number: int, frame: FrameType | None) -> None:
        """Leave, while the server goes on, and only then let it handle the signal.

        A second Ctrl-C does not wait for that. A second SIGTERM does: whoever sends it to all
        processes of a server does so beside the server itself, which also repeats Ctrl-C by it.
        """
        self._is_hurried = self._is_hurried or (self._is_asked and number == signal.SIGINT)
        if self._has_left or self._is_hurried:
            handler(number, frame)
        elif not self._is_asked:
            self._is_asked = True
            threading.Thread(
                target=self._leave_and_repeat,
                args=(number,),
                name="background_task leaving",
                daemon=True,
            ).start()

    def _leave_and_repeat(self, number: int) -> None:
        self.leave()
        self._has_left = True
        if not self._is_hurried:  # else the server ends already
            signal.raise_signal(number)


def is_of_uvicorn(handler: Any) -> bool:
    """Tell whether a handler of signals is a method of uvicorn's server."""
    classes = type(getattr(handler, "__self__", None)).__mro__
    return any(each.__module__.startswith("uvicorn.") for each in classes)


def ignore_repeats() -> None:
    """Ignore signals by which another process only repeats one that this one has had."""
    if os.environ.get(SERVING_CHILD) == "true":
        # The reloader, which has had the same Ctrl-C, hands it on; and a second one is its own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    quit_signal = getattr(signal, "SIGQUIT", None)
    if quit_signal is not None and callable(signal.getsignal(quit_signal)):
        signal.signal(quit_signal, signal.SIG_IGN)  # as gunicorn's master does after a Ctrl-C


host = Host()


def install() -> None:
    """Have the worker in this process if the settings ask for it and this is a place for it."""
    if is_wanted():
        host.install(place_here())
