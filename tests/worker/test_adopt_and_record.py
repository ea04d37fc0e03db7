"""The worker looks for claims that it does not know of while it records the outcomes of others.

The rivals are whoever adopts and whoever records. An outcome on its way to the database has left
the executor, and its row is still held: taken for a lost claim, the task would be run again.
"""

import pytest

from background_task.models import CompletedTask
from tests.worker.running import Worker, with_experience

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 6


def test_adopt_while_outcomes_are_recorded_takes_none_of_them(calls, threads, monkeypatch):
    for number in range(COUNT):
        calls.proxy(number)
    worker = with_experience(Worker(threads=threads))
    hand, store = worker.loop.hand, worker.loop.store
    record, held, adopted = store.finish_many, [], []

    def adopt_first(ends, **kwargs):
        held.extend(store.held_by(worker.name))
        hand.is_unsure = True
        adopted.extend(hand.adopt())
        return record(ends, **kwargs)

    monkeypatch.setattr(store, "finish_many", adopt_first)
    worker.run()
    assert held, "the rows are still held when their outcomes are about to be recorded"
    assert not adopted
    assert sorted(calls) == list(range(COUNT))
    assert CompletedTask.objects.count() == COUNT
