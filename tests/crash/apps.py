"""An app whose worker kills itself at a chosen hop.

CRASH_AT=claim|run|finish|group|commit|signal names the hop, CRASH_AFTER=n the n-th time that it is
reached. CRASH_ANNOUNCED=1 notes each announced success in the ledger.
"""

import os
import signal
import threading

from django.apps import AppConfig


class Death:
    """Kills the process at the n-th call."""

    def __init__(self, after: int) -> None:
        self._left = after
        self._lock = threading.Lock()

    def __call__(self, *args, **kwargs):
        with self._lock:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(self, function):
        def run(*args, **kwargs):
            self()
            return function(*args, **kwargs)

        return run

    def after(self, function):
        def run(*args, **kwargs):
            result = function(*args, **kwargs)
            self()
            return result

        return run


class CrashConfig(AppConfig):
    name = "tests.crash"
    label = "crash"

    def ready(self):
        hop = os.environ.get("CRASH_AT")
        if hop is not None:
            self.die = Death(int(os.environ.get("CRASH_AFTER", "1")))
            getattr(self, f"crash_at_{hop}")()
        if os.environ.get("CRASH_ANNOUNCED"):
            self.note_announcements()

    def crash_at_claim(self):
        """Hop 3 is committed, hop 5 has not begun."""
        from background_task.worker import loop

        loop.run_claim = self.die.before(loop.run_claim)

    def crash_at_run(self):
        """In the middle of hop 5, after the task's own writes."""
        from background_task.tasks import tasks
        from tests.crash import tasks as crash

        for proxy in tasks._tasks.values():
            if proxy.task_function.__module__ == crash.__name__:
                proxy.task_function = self.die.after(proxy.task_function)

    def crash_at_finish(self):
        """Hop 5 is done, hop 6 has not begun."""
        from background_task.worker import loop

        loop.record_many = self.die.before(loop.record_many)

    def crash_at_group(self):
        """In the middle of hop 6 for several tasks at once: rows are about to be deleted."""
        from django.db.backends.signals import connection_created

        def execute(execute, sql, params, many, context):
            words = " ".join(sql.replace('"', " ").replace("`", " ").split())
            if "DELETE FROM background_task " in words:
                self.die()
            return execute(sql, params, many, context)

        def watch(connection, **kwargs):
            connection.execute_wrappers.append(execute)

        connection_created.connect(watch, weak=False)

    def crash_at_commit(self):
        """In the middle of hop 6 for one task: everything is written, nothing committed."""
        from django.db.models.signals import post_delete

        from background_task.models import Task

        post_delete.connect(self.die, sender=Task, weak=False)

    def crash_at_signal(self):
        """Hop 6 is committed, hop 7 has not begun."""
        from background_task import telemetry

        telemetry.subscribe(self.die, to=("success", "retry", "failure"))

    def note_announcements(self):
        """By the telemetry: who listens to the signals gets each outcome recorded by itself."""
        from background_task import telemetry
        from tests.crash.tasks import note

        def announced(name, fields):
            note(f"announced:{fields['claim'].task_id}")

        telemetry.subscribe(announced, to=("success",))
