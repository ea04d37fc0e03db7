"""Random sequences of verbs: after each, the tables hold what the model says.

This is I1 (a row is claimed by one, with a number of its own), I2 (whoever lost a claim changes
nothing), I3 (a task is live or archived, and a chain goes on once) and I5 (lost attempts count)
together, in orders of which nobody thought.
"""

from datetime import datetime, timedelta, timezone

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings as profile, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from background_task.attempt import Failed, Released, Retry, Succeeded, after_loss
from background_task.models import CompletedTask, Task, Worker
from background_task.payload import encode
from background_task.policy import Policy
from background_task.store import Fleet, Store, get_store
from background_task.store.archive import Archive
from background_task.store.group import GroupStore
from background_task.store.selection import Selection
from tests.property.model import KNOWN, LEASE, MAX_ATTEMPTS, MAX_RUN_TIME, Model, Row

pytestmark = pytest.mark.slow

BEGIN = datetime(2031, 3, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
OWNERS = ("first", "second", "unheard of")  # the last is never entered as a worker
QUEUES = (None, "a", "b")

PICK = st.integers(0, 9)
QUEUE = st.sampled_from(QUEUES)
#: Failed or not -> the words for it; none for either.
ENDED = {None: (), True: ("failed",), False: ("succeeded", "discarded", "cancelled")}
OFFSET = st.sampled_from([-90, -1, 0, 1, 90]).map(lambda seconds: seconds * SECOND)
SECONDS = st.sampled_from([0, 0, 0, 0, 1, 30, 60, 61, 3601, 90_000])
REPEAT = st.sampled_from([30, 0, 3600])
OUTCOME = st.sampled_from(
    [
        Succeeded(),
        Succeeded(),
        Succeeded(),
        Failed("failed"),
        Retry("later", timedelta(seconds=45)),
        Retry("at once", timedelta(0)),
        Released("stopping"),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "task_name": st.sampled_from([*KNOWN, "unknown"]),
        "queue": QUEUE,
        "priority": st.integers(-1, 1),
        "attempts": st.sampled_from([0, 0, 1]),
        "repeat": REPEAT,
        "ends_after": st.sampled_from([None, None, 4000, 60]),
    }
)


class Tables(RuleBasedStateMachine):
    """The store and the model side by side; ``make_store`` is set by the test."""

    make_store = staticmethod(get_store)

    @initialize(values=st.lists(ROW, min_size=4, max_size=8), seconds=SECONDS)
    def begin(self, values, seconds):
        """Some rows, of which two workers have some."""
        for table in (Task, CompletedTask, Worker):
            table.objects.all()._raw_delete("default")
        self.store = self.make_store()
        self.fleet = Fleet(self.store.using)
        self.model = Model()
        self.now = BEGIN
        self.names = list(OWNERS)
        self.claims = []
        self.numbers = set()
        self.chains = 0
        self.add(values=values, offset=timedelta(0), as_1x=False)
        for owner in (0, 1):
            self.register(owner)
            self.claim(owner, queues=(), limit=2, ahead=1, seconds=seconds)

    # -- what is referred to -----------------------------------------------------------------------

    def claim_at(self, place):
        """A claim: mostly one that holds, and the latest first."""
        held = [claim for claim in self.claims if self.model.holds(claim)]
        claims = held if held and place < 6 else self.claims
        return claims[-1 - place % len(claims)]

    def row_at(self, place):
        return list(self.model.live.values())[place % len(self.model.live)]

    def has_claims(self):
        return bool(self.claims)

    def has_rows(self):
        return bool(self.model.live)

    # -- producing ---------------------------------------------------------------------------------

    @rule(values=st.lists(ROW, min_size=1, max_size=4), offset=OFFSET, as_1x=st.booleans())
    def add(self, values, offset, as_1x):
        tasks = [self._task(offset=offset, **each) for each in values]
        if as_1x:
            Task.objects.bulk_create(tasks)  # no uid, as a row of 1.x
        elif len(tasks) == 1:
            self.store.add(tasks[0])
        else:
            self.store.add_many(tasks)
        for task in Task.objects.filter(task_hash__in=[task.task_hash for task in tasks]):
            assert (task.uid is None) == as_1x
            self._enter(row_of(task))

    def _task(self, *, offset, ends_after, **values):
        self.chains += 1
        run_at = self.now + offset
        return Task(
            task_params=encode((), {}),
            task_hash=f"chain {self.chains}",
            run_at=run_at,
            repeat_until=None if ends_after is None else run_at + ends_after * SECOND,
            **values,
        )

    def _enter(self, row):
        assert row.pk not in self.model.live
        self.model.live[row.pk] = row

    @precondition(has_rows)
    @rule(place=PICK, queue=QUEUE)
    def cancel_the_call(self, place, queue):
        chain = self.row_at(place).chain
        with transaction.atomic():
            removed = self.store.remove_waiting(chain, queue=queue)
        assert removed == self.model.remove_waiting(chain, queue=queue)

    # -- claiming ----------------------------------------------------------------------------------

    @rule(
        owner=PICK,
        queues=st.sampled_from([(), ("a",), ("b", "a")]),
        limit=st.integers(1, 4),
        ahead=st.integers(0, 4),
        seconds=SECONDS,
    )
    def claim(self, owner, queues, limit, ahead, seconds):
        self.now += seconds * SECOND
        owner = self.names[owner % len(self.names)]
        rows = self.model.claimable(queues=queues, limit=limit, ahead=ahead, now=self.now)
        claims = self.store.claim(
            owner, KNOWN, queues=queues, limit=limit, ahead=ahead, now=self.now
        )
        assert [claim.task_id for claim in claims] == [row.pk for row in rows]
        for row, claim in zip(rows, claims, strict=True):
            self._taken(row, claim, owner)

    @precondition(has_rows)
    @rule(place=PICK, owner=PICK)
    def claim_one(self, place, owner):
        row, owner = self.row_at(place), self.names[owner % len(self.names)]
        is_free = row.locked_by is None or self.model.is_left_behind(row, now=self.now)
        claim = self.store.claim_one(row.pk, owner, now=self.now)
        assert (claim is not None) == is_free
        if claim is not None:
            self._taken(row, claim, owner)

    @precondition(has_rows)
    @rule(place=PICK)
    def lock_as_1x(self, place):
        """A worker of 1.x takes a row without a number; this version ends what it left."""
        row, owner = self.row_at(place), str(4242 + len(self.claims))
        if row.is_waiting():
            row.locked_by, row.locked_at = owner, self.now
            Task.objects.filter(pk=row.pk).update(locked_by=owner, locked_at=self.now)
            (claim,) = self.store.held_by(owner)
            assert row.is_claimed_by(claim)
            assert row.uid in (None, claim.uid)
            row.uid = claim.uid
            self.claims.append(claim)

    def _taken(self, row, claim, owner):
        self.model.take(row, owner, now=self.now)
        assert row.uid in (None, claim.uid)
        row.uid = claim.uid
        assert claim.uid is not None
        for name in ("queue", "priority", "attempts", "run_at", "task_name"):
            assert getattr(claim, name) == getattr(row, name)
        assert row.is_claimed_by(claim)
        assert (claim.task_id, claim.number) not in self.numbers, "two claims are told apart"
        self.numbers.add((claim.task_id, claim.number))
        self.claims.append(claim)

    # -- finishing ---------------------------------------------------------------------------------

    @precondition(has_claims)
    @rule(place=PICK, outcome=OUTCOME, reduced=st.booleans(), seconds=SECONDS)
    def finish(self, place, outcome, reduced, seconds):
        self.now += seconds * SECOND
        claim = self.claim_at(place)
        finish = self.store.finish(claim, outcome, now=self.now, reduced=reduced)
        self._finished([(claim, outcome)], [finish])

    @precondition(has_claims)
    @rule(
        ends=st.lists(
            st.tuples(PICK, OUTCOME), min_size=1, max_size=8, unique_by=lambda end: end[0]
        ),
        seconds=SECONDS,
    )
    def finish_many(self, ends, seconds):
        self.now += seconds * SECOND
        chosen = {self.claim_at(place): outcome for place, outcome in ends}
        ends = list(chosen.items())
        self._finished(ends, self.store.finish_many(ends, now=self.now))

    @precondition(has_claims)
    @rule(outcome=OUTCOME)
    def finish_all(self, outcome):
        """Of every claim that there ever was."""
        ends = [(claim, outcome) for claim in self.claims]
        self._finished(ends, self.store.finish_many(ends, now=self.now))

    def _finished(self, ends, finishes):
        results = [self.model.finish(*end, now=self.now) for end in ends]
        assert [finish is not None for finish in finishes] == [held for held, _ in results]
        repetitions = {row.chain: row for _, row in results if row is not None}
        new = Task.objects.exclude(pk__in=list(self.model.live))
        assert sorted(task.task_hash for task in new) == sorted(repetitions)
        for task in new:
            row = repetitions[task.task_hash]
            row.pk, row.uid = task.pk, task.uid
            assert row.uid not in {None, *self.model.archive}
            assert task.enqueued_at is not None
            self._enter(row)

    @precondition(has_claims)
    @rule(places=st.lists(PICK, min_size=1, max_size=6))
    def release(self, places):
        claims = [self.claim_at(place) for place in places]
        assert self.store.release(claims) == self.model.release(claims)

    # -- time and death ----------------------------------------------------------------------------

    @rule(place=PICK)
    def register(self, place):
        name = self.names[place % len(self.names)]
        if name in self.model.workers or name == OWNERS[-1]:
            name = f"worker {len(self.names)}"
            self.names.append(name)
        self.fleet.register(name, queues="", capacity=1, lease=LEASE, now=self.now)
        self.model.register(name, now=self.now)

    @rule(place=PICK)
    def renew(self, place):
        name = self.names[place % len(self.names)]
        renewed = self.fleet.renew(name, lease=LEASE, now=self.now)
        assert renewed == self.model.renew(name, now=self.now)

    @rule(place=PICK)
    def retire(self, place):
        name = self.names[place % len(self.names)]
        self.fleet.retire(name, now=self.now)
        self.model.retire(name, now=self.now)

    @rule(declare=st.booleans(), seconds=SECONDS)
    def recover(self, declare, seconds):
        self.now += seconds * SECOND
        if declare:
            self.model.declare_dead(now=self.now)
        lost = [r for r in self.model.live.values() if self.model.is_left_behind(r, now=self.now)]
        claims = self.store.left_behind(declare=declare, now=self.now)
        assert {claim.task_id for claim in claims} == {row.pk for row in lost}
        for claim in claims:
            row = self.model.live[claim.task_id]
            assert row.is_claimed_by(claim)
            assert row.uid in (None, claim.uid)
            row.uid = claim.uid
            assert claim.attempts == row.attempts
            outcome = after_loss(claim, Policy(), max_attempts=MAX_ATTEMPTS)
            self._finished([(claim, outcome)], [self.store.finish(claim, outcome, now=self.now)])
            is_over = claim.attempt >= MAX_ATTEMPTS
            assert (claim.uid in self.model.archive) == is_over

    # -- people ------------------------------------------------------------------------------------

    @precondition(has_rows)
    @rule(place=PICK, offset=OFFSET, queue=QUEUE, priority=st.integers(-1, 1), repeat=REPEAT)
    def edit(self, place, offset, queue, priority, repeat):
        """Whether it waits or runs."""
        row = self.row_at(place)
        row.run_at, row.queue, row.priority, row.repeat = self.now + offset, queue, priority, repeat
        Task.objects.filter(pk=row.pk).update(
            run_at=row.run_at, queue=queue, priority=priority, repeat=repeat
        )

    @precondition(has_rows)
    @rule(place=PICK)
    def unlock(self, place):
        row = self.row_at(place)
        row.free()
        Task.objects.filter(pk=row.pk).update(locked_by=None, locked_at=None)

    @precondition(has_rows)
    @rule(place=PICK)
    def delete(self, place):
        row = self.row_at(place)
        Task.objects.filter(pk=row.pk).delete()
        del self.model.live[row.pk]

    @rule(
        offset=st.sampled_from([-61 * SECOND, timedelta(0), SECOND]),
        failed=st.sampled_from([None, True, False]),
        queue=QUEUE,
    )
    def prune(self, offset, failed, queue):
        archive, moment = Archive(self.store.using), self.now + offset
        rows = archive.older_than(moment, statuses=ENDED[failed], selection=Selection(queue=queue))
        deleted = sum(archive.purge(rows, batch_size=2))
        assert deleted == self.model.prune(moment, failed=failed, queue=queue)

    # -- what holds after each of them -------------------------------------------------------------

    @invariant()
    def tables_hold_what_the_model_says(self):
        tasks = list(Task.objects.all())
        assert {task.pk: row_of(task) for task in tasks} == self.model.live
        chains = [task.task_hash for task in tasks]
        assert len(chains) == len(set(chains)), "a chain goes on once"
        archived = {row.uid: row_of(row) for row in CompletedTask.objects.all()}
        assert archived == self.model.archive
        assert not {task.uid for task in tasks if task.uid} & set(archived), "live or archived"
        workers = Worker.objects.values_list("name", "expires_at", "stopped_at")
        assert {name: times for name, *times in workers} == {
            name: [worker.expires_at, worker.stopped_at]
            for name, worker in self.model.workers.items()
        }

    @invariant()
    def claims_hold_where_the_model_says(self):
        if self.claims:
            claim = self.claims[len(self.numbers) % len(self.claims)]
            assert self.store.is_held(claim) == self.model.holds(claim)


def row_of(record):
    """A row of either table as the model has it."""
    own = {"chain": record.task_hash}
    if isinstance(record, CompletedTask):
        own |= {"pk": 0, "claim_number": None}
    names = Row.__dataclass_fields__.keys() - own
    return Row(**own, **{name: getattr(record, name) for name in names})


def plain():
    return Store("default")


def group():
    return GroupStore("default")


#: The same sequences in every run: what fails does so again, and nothing fails out of the blue.
PROFILE = profile(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

#: Elsewhere nobody gets these.
SHARED = pytest.mark.only_on("sqlite")


@pytest.mark.timeout(600)  # when it fails it looks for a shorter sequence that does
@pytest.mark.parametrize(
    "make_store",
    [get_store, pytest.param(plain, marks=SHARED), pytest.param(group, marks=SHARED)],
    ids=lambda make_store: make_store.__name__,
)
def test_any_sequence_of_verbs_leaves_what_the_model_says(transactional_db, settings, make_store):
    settings.BACKGROUND_TASK_MAX_RUN_TIME = MAX_RUN_TIME.total_seconds()
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = MAX_ATTEMPTS

    class Machine(Tables):
        pass

    Machine.make_store = staticmethod(make_store)
    run_state_machine_as_test(Machine, settings=PROFILE)
