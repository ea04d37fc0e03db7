"""Work off the queue with processes of which each runs one task, and most are killed meanwhile."""

import os
import random
import signal
import time
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

import tests.crash.tasks  # noqa: F401 - it registers the tasks
from background_task.identity import new_worker_name
from background_task.models import Task
from background_task.store import Fleet, get_store
from background_task.tasks import tasks
from background_task.worker.finish import End, record
from background_task.worker.recovery import recover
from background_task.worker.run import run_claim

LEASE = timedelta(minutes=5)


class Fate:
    """Kills the process before its n-th statement or commit, or right after a commit."""

    def __init__(self, steps):
        self.left = steps

    def step(self):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def rule(self):
        real, fate = BaseDatabaseWrapper._commit, self

        def commit(wrapper):
            fate.step()
            real(wrapper)
            fate.step()

        def execute(execute, sql, params, many, context):
            fate.step()
            return execute(sql, params, many, context)

        BaseDatabaseWrapper._commit = commit
        connection.execute_wrappers.append(execute)


class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, required=True)
        parser.add_argument("--steps", type=int, required=True)

    def handle(self, *, seed, steps, **options):
        chance, store, deaths = random.Random(seed), get_store(), 0
        while Task.objects.filter(run_at__lte=store.now()).exists():
            fate = Fate(chance.randint(1, steps))
            connections.close_all()  # a child must not use those of its parent
            pid = os.fork()
            if not pid:
                self.live(fate)
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                deaths += 1
                held = Task.objects.exclude(locked_by=None)
                for owner in set(held.values_list("locked_by", flat=True)):
                    Fleet(store.using).retire(owner)
                recover(store, registry=tasks._tasks, declare=False)
            elif status:
                raise SystemExit(f"a child ended with {status}")
        self.stdout.write(f"{deaths} deaths")

    def live(self, fate):
        """Run one task; never returns."""
        store, name = get_store(), new_worker_name()
        Fleet(store.using).register(name, queues="", capacity=1, lease=LEASE)
        for claim in store.claim(name, tasks._tasks):
            fate.rule()
            started = time.monotonic()
            outcome = run_claim(claim, tasks._tasks, store=store)
            ended = time.monotonic()
            record(store, End.of(claim, outcome, seconds=ended - started, ended=ended))
        os._exit(0)
