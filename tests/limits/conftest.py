"""Limited tasks, their gates, and who runs them."""

from datetime import timedelta

import pytest

from background_task.limiter import RateLimit, hashed
from background_task.models import Gate, Permit, Task
from background_task.store.gate import Gates, Limit
from background_task.tasks import Tasks
from tests.concurrency.conftest import PLAIN, scenes
from tests.store.conftest import store
from tests.worker.conftest import calls, registry, threads

__all__ = ["PLAIN", "calls", "registry", "scenes", "store", "threads"]

MINUTE = timedelta(minutes=1)


def limit(most=None, rate=None, key="account:7"):
    """A limit for all runs of a key."""
    return Limit(hashed(key), key, most, None if rate is None else RateLimit(rate, MINUTE))


class Floor:
    """What goes on at the gates of one store.

    Args:
        store: The rows.
        now: The time; it stands still.
    """

    def __init__(self, store):
        self.store = store
        self.gates = Gates(store)
        self.now = store.now()
        self.function = Tasks().background(name="limited", max_concurrency=1)(lambda number: None)

    def add(self, count, *, key="account:7", **options):
        """Store calls 0, 1, 2, ... of one key, each due a second after the one before."""
        tasks = []
        for number in range(count):
            due = self.now - timedelta(seconds=1000 - number)
            task = self.function.using(schedule=due, **options)(number)
            task.limit_key = hashed(key)
            task.save()
            tasks.append(task)
        return tasks

    def claim(self, most=100, *, owner="w", limit_to):
        """Claim, and try to pass the gate; return the numbers that did."""
        claims = self.store.claim(owner, ["limited"], limit=most, now=self.now)
        admitted = self.gates.admit([(claim, limit_to) for claim in claims], now=self.now)
        self.claims = admitted
        return self.numbers(claim.task_id for claim in admitted)

    def numbers(self, keys):
        return [Task.objects.get(pk=key).params()[0][0] for key in keys]

    @property
    def waiting(self):
        """The calls that a claim would find."""
        rows = Task.objects.filter(locked_by=None, run_at__lte=self.now)
        return self.numbers(rows.order_by("-priority", "run_at").values_list("pk", flat=True))

    @property
    def aside(self):
        rows = Task.objects.filter(due_at__isnull=False).order_by("-priority", "due_at")
        return self.numbers(rows.values_list("pk", flat=True))

    @property
    def gate(self):
        return Gate.objects.get()

    @property
    def permits(self):
        return Permit.objects.count()


@pytest.fixture
def floor(store):
    return Floor(store)
