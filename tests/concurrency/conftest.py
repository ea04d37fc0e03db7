"""Scenes: what the tables hold when two rivals meet."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from background_task.attempt import Claim
from background_task.models import Task
from background_task.payload import encode, task_hash
from background_task.store import Fleet, Store, get_store

LEASE = timedelta(seconds=60)


@dataclass
class Scene:
    """One row, and who holds it."""

    store: Store
    now: datetime
    task: Task
    claim: Claim | None = None
    names: frozenset[str] = frozenset()
    times: dict[datetime, str] = field(default_factory=dict)

    @property
    def pk(self) -> int:
        return self.task.pk

    @property
    def keys(self) -> dict[int, str]:
        return {self.task.pk: "row"}

    @property
    def uids(self) -> dict[UUID | None, str]:
        return {self.task.uid: "uid"}

    @property
    def later(self) -> datetime:
        return self.now + timedelta(hours=5)


@dataclass
class Crowd:
    """Several rows, each with a label for its hash, and who holds them."""

    store: Store
    now: datetime
    tasks: dict[str, Task]
    claims: dict[str, Claim] = field(default_factory=dict)
    names: frozenset[str] = frozenset({"w"})
    times: dict[datetime, str] = field(default_factory=dict)

    @property
    def keys(self) -> dict[int, str]:
        return {task.pk: label for label, task in self.tasks.items()}

    @property
    def uids(self) -> dict[UUID | None, str]:
        return {task.uid: label for label, task in self.tasks.items()}

    @property
    def later(self) -> datetime:
        return self.now + timedelta(hours=5)


class Scenes:
    """Makers of scenes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def waiting(self, **values: Any) -> Scene:
        """A row that is due and free."""
        now = self.store.now()
        task = self._add(now - timedelta(minutes=1), **values)
        scene = Scene(self.store, now, task)
        scene.times = {task.run_at: "due", scene.later: "later"}
        if task.repeat:
            scene.times[task.run_at + timedelta(seconds=task.repeat)] = "next"
        return scene

    def held(self, *, is_alive: bool = True, **values: Any) -> Scene:
        """A row that worker "w" holds, whose lease is over unless it is alive."""
        scene = self.waiting(**values)
        began = scene.now if is_alive else scene.now - 2 * LEASE
        Fleet(self.store.using).register("w", queues="", capacity=1, lease=LEASE, now=began)
        scene.claim = self.store.claim_one(scene.pk, "w")
        scene.names = frozenset({"w"})
        return scene

    def abandoned(self, **values: Any) -> Scene:
        """A row whose holder has not renewed its lease."""
        return self.held(is_alive=False, **values)

    def given_up(self, **values: Any) -> Scene:
        """A row whose holder has been declared dead."""
        scene = self.abandoned(**values)
        Fleet(self.store.using).retire("w")
        return scene

    def many(self, **values: dict[str, Any]) -> Crowd:
        """Rows that are due and free, one later than the other; each label has its values."""
        now = self.store.now()
        began = now - timedelta(minutes=1)
        tasks = {
            label: self._add(
                began + timedelta(seconds=number), **{"task_hash": label, **values[label]}
            )
            for number, label in enumerate(values)
        }
        crowd = Crowd(self.store, now, tasks)
        for label, task in tasks.items():
            crowd.times[task.run_at] = f"{label} due"
            if task.repeat:
                crowd.times[task.run_at + timedelta(seconds=task.repeat)] = f"{label} next"
        crowd.times[crowd.later] = "later"
        return crowd

    def held_many(self, *, is_alive: bool = True, **values: dict[str, Any]) -> Crowd:
        """Rows that worker "w" holds, whose lease is over unless it is alive."""
        crowd = self.many(**values)
        began = crowd.now if is_alive else crowd.now - 2 * LEASE
        Fleet(self.store.using).register("w", queues="", capacity=1, lease=LEASE, now=began)
        claims = self.store.claim("w", ["known"], limit=len(values))
        crowd.claims = {crowd.keys[claim.task_id]: claim for claim in claims}
        assert len(crowd.claims) == len(values)
        return crowd

    def _add(self, run_at: datetime, **values: Any) -> Task:
        params = encode((), {})
        whole = {"task_hash": task_hash("known", params), **values}
        task = Task(task_name="known", task_params=params, run_at=run_at, **whole)
        return self.store.add(task)


#: On PostgreSQL and MariaDB nobody gets the plain one.
PLAIN = pytest.param("plain", marks=pytest.mark.only_on("sqlite"))


@pytest.fixture(params=["own", PLAIN])
def scenes(request: pytest.FixtureRequest, transactional_db: None) -> Scenes:
    """For the store made for the database, and for the one that suits every database."""
    store = get_store()
    return Scenes(store if request.param == "own" else Store(store.using))
