"""Two rivals on connections of their own, stopped and let go so that every order happens.

``contest`` runs one rival up to each of its statements (and commits) in turn, lets the other one
run meanwhile until it is done or has to wait for the first, and then lets the first go on. Whatever
comes of it must be what one of them after the other would have done: nobody was half right.
"""

import json
import operator
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.messages.storage.session import SessionStorage
from django.db import connection, connections
from django.test import RequestFactory

from background_task.models import CompletedTask, Gate, Pause, Permit, Task, Worker

DEADLINE_SECONDS = 30
WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE")
ASK_SECONDS = 0.005
#: Of these it is compared whether the row has one.
PRESENT = (
    *("locked_at", "started_at", "enqueued_at", "failed_at", "unique_key", "due_at"),
    *("cancel_requested_at", "cancelled_at", "discarded_at"),
)


class Rival(threading.Thread):
    """Somebody who does one thing, on a connection of his own.

    Args:
        act: What to do.
        stop_before: The number of the step before which to stop until ``go_on`` is set. Steps are
            statements and commits.
    """

    def __init__(self, act: Callable[[], Any], *, stop_before: int | None = None) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.stop_before = stop_before
        self.steps: list[str] = []
        self.stopped = threading.Event()
        self.go_on = threading.Event()
        self.finished = threading.Event()
        self.is_writing = False
        self.result: Any = None
        self.session: int | None = None

    def run(self) -> None:
        self.connection = connections["default"]
        try:
            self.connection.ensure_connection()
            if connection.vendor == "postgresql":
                self.session = connection.connection.info.backend_pid
            self._commit = self.connection._commit
            self.connection._commit = self._commit_in_a_step
            with self.connection.execute_wrapper(self._execute_in_a_step):
                self.result = self.act()
        except Exception as error:  # noqa: BLE001 - compared like any other result
            self.result = error
        finally:
            self.connection.close()
            self.finished.set()
            self.stopped.set()

    def _execute_in_a_step(self, execute, sql, params, many, context):
        self._step(sql)
        self.is_writing = sql.lstrip().startswith(WRITES)
        try:
            return execute(sql, params, many, context)
        finally:
            self.is_writing = False

    def _commit_in_a_step(self) -> None:
        self._step("COMMIT")
        self._commit()

    def _step(self, what: str) -> None:
        self.steps.append(what)
        if len(self.steps) == self.stop_before:
            self.stopped.set()
            assert self.go_on.wait(DEADLINE_SECONDS), "nobody let this rival go on"

    def end(self) -> Any:
        self.go_on.set()
        self.join(DEADLINE_SECONDS)
        assert not self.is_alive(), f"still running after {self.steps}"
        return self.result


def is_waiting(rival: Rival, *, for_: Rival) -> bool:
    """Tell whether a rival waits for a lock that the stopped one holds."""
    if connection.vendor == "sqlite":
        database = for_.connection.connection
        return rival.is_writing and database is not None and database.in_transaction
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                [rival.session],
            )
            return cursor.fetchone()[0] > 0
        # Of the whole server, but nobody else is there.
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        return int(cursor.fetchone()[1]) > 0


def run_until_it_waits(rival: Rival, *, for_: Rival) -> None:
    rival.start()
    for _ in range(int(DEADLINE_SECONDS / ASK_SECONDS)):
        if rival.finished.wait(ASK_SECONDS) or is_waiting(rival, for_=for_):
            return
    raise AssertionError(f"neither done nor waiting after {rival.steps}")


@dataclass(frozen=True)
class Outcome:
    """What two rivals returned, and all rows they left."""

    results: tuple[Any, Any]
    tasks: list[dict[str, Any]]
    completed: list[dict[str, Any]]
    workers: list[dict[str, Any]] = field(default_factory=list)
    permits: int = field(default=0, compare=False)  # some of them count no more
    #: Of each gate, whether anybody is to look at it.
    gates: list[bool] = field(default_factory=list)


Prepare = Callable[[], Any]
Act = Callable[[Any], Any]


def contest(
    prepare: Prepare,
    one: Act,
    other: Act,
    judge: Callable[[Outcome], None],
    *,
    may_skip: Any = (),
    matches: Callable[[list[Outcome], Outcome], bool] = operator.contains,
) -> None:
    """Let two rivals meet at every point, in both roles.

    Args:
        prepare: Returns what both are given, after it has filled the tables.
        one: What the one does; returns something comparable.
        other: What the other does.
        judge: Is shown every outcome.
        may_skip: A result of ``one`` that means that it did nothing, because the row was locked.
        matches: Tells whether an outcome is right, given those of the one after the other.
    """
    for first, second, is_swapped in ((one, other, False), (other, one, True)):
        serial = [
            in_turn(prepare, (first, second), is_swapped),
            in_turn(prepare, (second, first), not is_swapped),
        ]
        if may_skip != ():
            alone = in_turn(prepare, (other,), False)
            (result, _) = alone.results
            serial.append(Outcome((may_skip, result), alone.tasks, alone.completed, alone.workers))
        for outcome in serial:
            judge(outcome)
        number = 1
        while True:
            rival, outcome = meet(prepare, first, second, is_swapped, stop_before=number)
            if len(rival.steps) < number:
                break
            where = f"{first.__name__} before {rival.steps[number - 1]!r}: {outcome}"
            judge(outcome)
            assert matches(serial, outcome), where
            number += 1
        assert number > 1


def in_turn(prepare: Prepare, acts: Any, is_swapped: bool) -> Outcome:
    """What comes of one after the other."""
    clear()
    scene = prepare()
    results = []
    for act in acts:
        rival = Rival(lambda act=act: act(scene))
        rival.start()
        results.append(rival.end())
    return look(scene, results, is_swapped)


def meet(
    prepare: Prepare, first: Act, second: Act, is_swapped: bool, *, stop_before: int
) -> tuple[Rival, Outcome]:
    """Let the second one run while the first is stopped before a step."""
    clear()
    scene = prepare()
    stopped = Rival(lambda: first(scene), stop_before=stop_before)
    stopped.start()
    assert stopped.stopped.wait(DEADLINE_SECONDS)
    runner = Rival(lambda: second(scene))
    try:
        run_until_it_waits(runner, for_=stopped)
    finally:
        results = [stopped.end(), runner.end()]
    return stopped, look(scene, results, is_swapped)


def clear() -> None:
    for model in (Task, CompletedTask, Worker, Pause, Gate, Permit):
        model.objects.all()._raw_delete("default")


def look(scene: Any, results: list[Any], is_swapped: bool) -> Outcome:
    """All rows, without what differs from run to run."""
    results = [repr(r) if isinstance(r, Exception) else r for r in results]
    results += [None] * (2 - len(results))
    return Outcome(
        results=tuple(reversed(results) if is_swapped else results),
        tasks=[canonical(row, scene) for row in Task.objects.order_by("pk").values()],
        completed=[  # their keys are of another table
            canonical({**row, "id": None}, scene)
            for row in CompletedTask.objects.order_by("pk").values()
        ],
        workers=[
            {"is_known": row["name"] in scene.names, "has_stopped": row["stopped_at"] is not None}
            for row in Worker.objects.order_by("pk").values()
        ],
        permits=Permit.objects.count(),
        gates=[gate.look_at is not None for gate in Gate.objects.order_by("pk")],
    )


def by_row(outcome: Outcome) -> dict[str, Any]:
    """What became of each row, known by its hash, which it shares with its next run.

    Both must return dictionaries of what they did to each.
    """
    rows = [*outcome.tasks, *outcome.completed]
    labels = {row["task_hash"] for row in rows}.union(*outcome.results)
    return {
        label: (
            tuple(result.get(label) for result in outcome.results),
            [row for row in outcome.tasks if row["task_hash"] == label],
            [row for row in outcome.completed if row["task_hash"] == label],
        )
        for label in labels
    }


def row_by_row(serial: list[Outcome], outcome: Outcome) -> bool:
    """Tell whether each row is right: the one may win some of them and the other the rest."""
    return all(
        end in [by_row(each).get(label) for each in serial]
        for label, end in by_row(outcome).items()
    )


def canonical(row: dict[str, Any], scene: Any) -> dict[str, Any]:
    """A row with names for its keys, and times only where the scene knows them."""
    row = dict(row)
    row["id"] = scene.keys.get(row["id"], "new")
    row["uid"] = {None: None, **scene.uids}.get(row["uid"], "new")
    row["run_at"] = scene.times.get(row["run_at"], "now")
    for name in PRESENT:
        if name in row:
            row[name] = row[name] is not None
    if row["errors"]:
        without = {"at": "", "started_at": ""}
        row["errors"] = [{**error, **without} for error in json.loads(row["errors"])]
    return row


def post_request(**data: str) -> Any:
    """What the admin's form comes with; it can take messages."""
    request = RequestFactory().post("/", data)
    request.session = {}
    request._messages = SessionStorage(request)
    return request


# -- what rivals often do --------------------------------------------------------------------------


def claiming(scene):
    return [(claim.owner, claim.number) for claim in scene.store.claim("w", ["known"], limit=5)]


def finishing(outcome):
    def finish(scene):
        return scene.store.finish(scene.claim, outcome) is not None

    return finish


def cancelling(scene):
    return scene.store.cancel(scene.task.uid)
