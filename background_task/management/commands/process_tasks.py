"""``manage.py process_tasks``: the worker."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import autoreload

from ... import __version__, telemetry, worker_log
from ...exceptions import DuplicateWorkerError, InvalidOptionError, InvalidOptionTypeError
from ...models import CompletedTask, Task
from ...models.worker import UNNAMED
from ...settings import app_settings
from ...store import Fleet, get_store
from ...tasks import Tasks, autodiscover, tasks
from ...utils import SignalManager
from ...worker import Control, Loop, Options, Summary
from ...worker.hygiene import is_in_memory
from ...worker.parent import Parent
from ...worker.pruner import keeping_in
from ...worker.served import all_declared, served
from ...worker.supervisor import Supervisor
from ..argument import OPTIONS, check, exit_status
from ..backend_choice import allowed_queues, check_task_settings, in_words
from ..console import LOGGER_NAME, Console, LogWriter
from ..liveness import LivenessFile
from ..metrics import serve_metrics
from ..process import end_process, give_up
from ..screen import Above, Screen, is_terminal
from ..status import Status, wants_colour

logger = logging.getLogger(__name__)


def _configure_log_std() -> None:
    """Send what is printed to the log: stdout as INFO, stderr as ERROR."""
    sys.stdout = LogWriter(sys.stdout, level=logging.INFO, logger=logger)
    sys.stderr = LogWriter(sys.stderr, level=logging.ERROR, logger=logger)


class Command(BaseCommand):
    """Runs due tasks until it is told to stop."""

    help = "Run tasks that are scheduled to run on the queue"

    OPTIONS: ClassVar = OPTIONS

    _tasks: Tasks = tasks
    sig_manager: SignalManager | None = None
    parent: Parent | None = None
    exit_status = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        for flags, settings in self.OPTIONS:
            parser.add_argument(*flags, **settings)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, with autoreload if asked."""
        self.parent = Parent.of_this_process()
        if options.get("dev") and options.get("batch"):
            logger.warning("--batch ends by itself: running it without --dev")
            options["dev"] = False
        if options.get("dev") and not options.get("processes"):
            autoreload.run_with_reloader(self.run, *args, **options)
            return
        self.run(*args, **options)
        if getattr(self, "_called_from_command_line", False):
            end_process(self.exit_status)
        elif options.get("empty_exit_code") or options.get("failed_exit_code"):
            sys.exit(self.exit_status)  # whoever asks for exit codes by ``call_command`` gets them

    def run(self, *args: Any, **options: Any) -> None:
        """Work until told to stop, or until the duration is over."""
        if options.get("dev"):
            autoreload.raise_last_exception()
        with ExitStack() as stack:
            if options.get("log_std"):
                stack.callback(_restore_std, sys.stdout, sys.stderr)
                _configure_log_std()
            check_task_settings()
            modules = autodiscover()
            known = {proxy.queue for proxy in self._tasks._tasks.values()}
            chosen = self._labelled(check(options, known=known))
            _check_settings(self._tasks)
            control = Control()
            control.shutdown = chosen.shutdown
            stack.callback(control.polling.close)
            self.sig_manager = SignalManager(control)
            stack.callback(self.sig_manager.restore)
            screen = self._show(options, stack=stack)
            stack.enter_context(telemetry.subscribed(_log, to=worker_log.MESSAGES))
            on_well = self._tell_outside(options, stack=stack)
            if options.get("processes") and self.parent is None:
                done = self._supervise(
                    int(options["processes"]), control=control, options=chosen, on_well=on_well
                )
                self.exit_status = self.exit_status or exit_status(options, **done)
                return
            loop = Loop(self._tasks._tasks, store=get_store(), control=control, options=chosen)
            if getattr(self, "_called_from_command_line", False) and not options.get("dev"):
                control.end_process = partial(give_up, loop)
            if options.get("dev"):
                atexit.register(loop.abandon)
                stack.callback(atexit.unregister, loop.abandon)
            self._say_what_was_found(loop, chosen, modules)
            if self.parent is not None:
                stack.enter_context(self.parent.informed(control, name=loop.identity.name))
            if screen is not None:
                status = Status(screen, loop, has_colour=wants_colour(options))
                status.start()
                stack.callback(status.end)
            summary = self._work(loop)
            _say_what_was_done(summary, control)
            if self.parent is not None:
                self.parent.sum_up(summary)  # which chooses the exit code for all
            if control.outage.is_on:
                self.exit_status = 1
            elif self.parent is None:
                self.exit_status = exit_status(
                    options, processed=summary.processed, failures=summary.failures
                )

    def _labelled(self, options: Options) -> Options:
        """Give each of several worker processes a name of its own."""
        if options.label is None or self.parent is None:
            return options
        label = f"{options.label}:{self.parent.number}"
        return replace(options, label=label, is_label_free=True)

    def _work(self, loop: Loop) -> Summary:
        try:
            return loop.run()
        except DuplicateWorkerError as error:
            raise CommandError(f"--worker-id: {error}") from None

    def _supervise(
        self,
        processes: int,
        *,
        control: Control,
        options: Options,
        on_well: Callable[[], object],
    ) -> dict[str, int]:
        store = get_store()
        if not getattr(self, "_called_from_command_line", False):
            raise CommandError(
                "--processes starts this command line again, so it has to be one; call the command "
                "from a shell, or leave --processes out"
            )
        if is_in_memory(store.using):
            raise CommandError(
                "--processes needs a database that processes can share; this one is in memory"
            )
        supervisor = Supervisor(
            autoreload.get_child_arguments(),
            processes=processes,
            store=store,
            registry=tasks._tasks,
            control=control,
            duration=options.duration,
            is_batch=options.is_batch,
            on_well=on_well,
        )
        _check_label(options.label, using=store.using)
        logger.info("Starting %d worker processes", processes, extra={"event": "supervisor_start"})
        self.exit_status = 0 if supervisor.run() else 1
        logger.info(
            "All worker processes have ended (%s)%s",
            control.reason,
            ", but not all in order and in time" if self.exit_status else "",
            extra={"event": "supervisor_stop"},
        )
        return {"processed": supervisor.processed, "failures": supervisor.failures}

    def _show(self, options: Mapping[str, Any], *, stack: ExitStack) -> Screen | None:
        """Show the log on the command's output where the project itself shows it nowhere.

        Returns:
            The terminal, if it is to have a line of status.
        """
        verbosity, screen = int(options.get("verbosity", 1)), None
        is_alone = self.parent is None and not options.get("processes")
        if is_alone and verbosity and not options.get("no_status"):
            screen = Screen(self.stdout._out) if is_terminal(self.stdout, self.stderr) else None
        if screen is not None:
            screen.install()
            stack.callback(screen.end)
        if not logging.getLogger(LOGGER_NAME).hasHandlers():
            label = "" if self.parent is None else f"[{self.parent.number}] "
            stream = self.stdout if screen is None else Above(screen, self.stdout._out)
            console = Console(stream, verbosity=verbosity, label=label)
            console.install()
            stack.callback(console.remove)
        return screen

    def _tell_outside(
        self, options: Mapping[str, Any], *, stack: ExitStack
    ) -> Callable[[], object]:
        """Have the file and the port by which others see how this is; once, with many processes.

        Returns:
            What tells them that the worker processes are well.
        """
        if self.parent is not None:
            return bool
        serve_metrics(options)
        if not options.get("liveness_file"):
            return bool
        file = LivenessFile(options["liveness_file"])
        stack.enter_context(file.kept(by_heartbeat=not options.get("processes")))
        return file.touch

    def _say_what_was_found(self, loop: Loop, options: Options, modules: list[str]) -> None:
        database = connections[loop.store.using]
        logger.info(
            "background_task %s: worker %s on %s database %r (%s)",
            __version__,
            loop.identity.name,
            _kind_of(database),
            _place_of(database),
            loop.store.using,
            extra={"event": "worker_start"},
        )
        logger.info(
            "%s; %s; %s",
            _queues_of(options),
            _capacity_of(loop),
            in_words(loop.registry, modules, options.backends),
        )
        _say_what_is_kept(loop)
        if not loop.registry and not served(options.backends):
            logger.warning(
                "No task function was found: decorate one with @background in the tasks.py of an "
                "app that is in INSTALLED_APPS"
            )
        if (options.threads or options.concurrency) and loop.is_private:
            logger.warning("Inside a transaction other threads see no tasks: running without them")
        for queue in options.queues:
            _warn_if_never_used(queue, self._tasks)


def _check_settings(tasks: Tasks) -> None:
    """End here and now rather than in each worker process, or later."""
    try:
        all_declared(tasks._tasks)
        _ = app_settings.BACKGROUND_TASK_RETAIN
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        raise CommandError(str(error)) from error


def _say_what_is_kept(loop: Loop) -> None:
    try:
        kept = keeping_in(loop.store.using).common.in_words()
    except Error:  # the loop will say what is wrong with the database
        return
    why = "" if app_settings.BACKGROUND_TASK_RETAIN else "; BACKGROUND_TASK_RETAIN is not set"
    logger.info("finished tasks are kept %s%s", kept, why)


def _check_label(label: str | None, *, using: str) -> None:
    """Refuse a name that is taken before any worker process is started.

    They do not ask themselves: the one that a new one replaces may not be buried yet.
    """
    if label is None:
        return
    try:
        Fleet(using).check_label(label)
    except DuplicateWorkerError as error:
        raise CommandError(f"--worker-id: {error}") from None
    except Error:  # the workers will say what is wrong with the database
        return
    finally:
        connections[using].close()


def _queues_of(options: Options) -> str:
    if options.queues:
        return f"queue {', '.join(map(repr, options.queue_words()))}"
    if not options.excluded:
        return "all queues"
    names = [repr(queue) if queue else UNNAMED for queue in options.excluded]
    return f"all queues but {', '.join(names)}"


def _capacity_of(loop: Loop) -> str:
    if loop.is_inline:
        return "one task after another"
    threads, coroutines = loop.options.threads or 1, loop.options.concurrency
    beside = f"{coroutines} coroutines and " if coroutines else ""
    return f"{beside}{threads} thread{'s' if threads > 1 else ''}"


def _kind_of(database: BaseDatabaseWrapper) -> str:
    try:
        return database.display_name
    except Error:  # telling MariaDB from MySQL needs a server that answers
        return database.vendor


def _place_of(database: BaseDatabaseWrapper) -> str:
    """Return the database's name; of a file where it is, because a relative path says nothing."""
    name = str(database.settings_dict["NAME"])
    is_file = database.vendor == "sqlite" and not is_in_memory(database.alias)
    return os.path.abspath(name) if is_file else name


def _warn_if_never_used(queue: str, tasks: Tasks) -> None:
    """A misspelt queue would otherwise idle without a word."""
    declared = {proxy.queue for proxy in tasks._tasks.values()} | allowed_queues()
    try:
        is_used = queue in declared or any(
            model.objects.using(get_store().using).filter(queue=queue).exists()
            for model in (Task, CompletedTask)
        )
    except Error:  # the loop will say what is wrong with the database
        return
    if not is_used:
        known = ", ".join(sorted(repr(name) for name in declared if name is not None))
        logger.warning(
            "Nobody has ever used the queue %r: no task is or was in it and no function names it "
            "(functions name: %s)",
            queue,
            known or "no queue",
        )


def _say_what_was_done(summary: Summary, control: Control) -> None:
    counts = (
        (summary.succeeded, "done"),
        (summary.retried, "rescheduled"),
        (summary.failed, "failed"),
        (summary.discarded, "discarded"),
        (summary.cancelled, "cancelled"),
        (summary.released, "released"),
        (summary.recovered, "recovered from dead workers"),
        (summary.late, "dropped because others had taken over"),
    )
    logger.info(
        "Stopped (%s) after %.1f s: %s",
        control.reason,
        summary.seconds,
        ", ".join(f"{count} {what}" for count, what in counts if count) or "no task was run",
        extra={"event": "worker_stop"},
    )


def _log(name: str, fields: dict[str, Any]) -> None:
    """Log what concerns the worker rather than one task."""
    worker_log.write(logger, name, fields)


def _restore_std(stdout: Any, stderr: Any) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout, sys.stderr = stdout, stderr
