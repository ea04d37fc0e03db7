"""An app whose worker kills itself at a chosen hop: CRASH_AT=claim|run|finish|signal."""

import os
import signal

from django.apps import AppConfig


def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


class CrashConfig(AppConfig):
    name = "tests.crash"
    label = "crash"

    def ready(self):
        hop = os.environ.get("CRASH_AT")
        if hop is not None:
            getattr(self, f"crash_at_{hop}")()

    def crash_at_claim(self):
        """Hop 3 is committed, hop 5 has not begun."""
        from background_task.worker import loop

        loop.run_claim = die

    def crash_at_run(self):
        """In the middle of hop 5, after the task's own writes."""
        from background_task.tasks import tasks
        from tests.crash import tasks as crash

        for proxy in tasks._tasks.values():
            if proxy.task_function.__module__ == crash.__name__:
                proxy.task_function = killing(proxy.task_function)

    def crash_at_finish(self):
        """Hop 5 is done, hop 6 has not begun."""
        from background_task.worker import loop

        loop.record_many = die

    def crash_at_commit(self):
        """In the middle of hop 6: everything is written, nothing committed."""
        from django.db.models.signals import post_delete

        from background_task.models import Task

        post_delete.connect(die, sender=Task, weak=False)

    def crash_at_signal(self):
        """Hop 6 is committed, hop 7 has not begun."""
        from background_task import telemetry

        @telemetry.subscribe
        def die_after_finish(name, fields):
            if name in ("success", "retry", "failure"):
                die()


def killing(function):
    def run(*args, **kwargs):
        function(*args, **kwargs)
        die()

    return run
