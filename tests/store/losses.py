"""How a worker can lose a claim."""

from datetime import timedelta

from background_task.attempt import Failed, Retry, Succeeded
from background_task.identity import new_worker_name
from background_task.models import Task
from background_task.store import Fleet
from background_task.worker.recovery import recover
from tests.store.rows import LEASE, row


def released(store, claim):
    store.release([claim])


def claimed_again_by_another(store, claim):
    store.release([claim])
    assert store.claim_one(claim.task_id, "x")


def claimed_again_by_the_same(store, claim):
    store.release([claim])
    assert store.claim_one(claim.task_id, claim.owner)


def finished(store, claim):
    assert store.finish(claim, Succeeded())


def failed(store, claim):
    assert store.finish(claim, Failed("by another road"))


def retried(store, claim):
    assert store.finish(claim, Retry("by another road", timedelta(hours=1)))


def buried(store, claim):
    assert store.bury(claim, Succeeded())


def recovered(store, claim):
    owner = new_worker_name()
    rename(claim, owner)
    past = store.now() - 2 * LEASE
    Fleet(store.using).register(owner, queues="", capacity=1, lease=LEASE, now=past)
    assert recover(store) == 1
    assert row(claim.task_id)["attempts"] == claim.attempts + 1


def claimed_again_after_a_loss(store, claim):
    """It has the same owner and another number."""
    recovered(store, claim)
    assert store.claim_one(claim.task_id, claim.owner)


def deleted(store, claim):
    Task.objects.filter(pk=claim.task_id).delete()


def unlocked_by_hand(store, claim):
    Task.objects.filter(pk=claim.task_id).update(locked_by=None, locked_at=None)


def renamed(store, claim):
    """The number is still right, the owner is not."""
    rename(claim, claim.owner.upper())


def rename(claim, owner):
    assert Task.objects.filter(pk=claim.task_id).update(locked_by=owner) == 1


LOSSES = [
    released,
    claimed_again_by_another,
    claimed_again_by_the_same,
    finished,
    failed,
    retried,
    buried,
    recovered,
    claimed_again_after_a_loss,
    deleted,
    unlocked_by_hand,
    renamed,
]
