"""Weights: each queue has its share as long as it has tasks, and nobody waits for an empty one."""

from collections import Counter
from types import SimpleNamespace

from hypothesis import given, strategies as st

from background_task.worker.fair import Shares

NAMES = "abcde"
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=2)
#: How many of any kind, and how many ahead.
ROUND = st.tuples(st.integers(0, 1), st.integers(0, 12)).filter(any)


class Rows:
    """What waits in each queue; a fragile row is not taken ahead."""

    def __init__(self, waiting, *, fragile=()):
        self.waiting = dict(waiting)
        self.fragile = fragile
        self.asked = []

    def __call__(self, *, queues, limit, ahead):
        (queue,) = queues
        self.asked.append(queue)
        count = limit if queue in self.fragile else limit + ahead
        taken = min(count, self.waiting.get(queue, 0))
        self.waiting[queue] = self.waiting.get(queue, 0) - taken
        return [SimpleNamespace(queue=queue) for _ in range(taken)]


def claimed(shares, rows, *, limit=1, ahead=0, rounds=1):
    return "".join(
        claim.queue for _ in range(rounds) for claim in shares.claim(rows, limit=limit, ahead=ahead)
    )


def test_claims_one_by_one_and_many_at_once_come_in_the_same_turns():
    weights = {"a": 3, "b": 1}
    rows = {"a": 100, "b": 100}
    assert claimed(Shares(weights), Rows(rows), rounds=12) == "abaaabaaabaa"
    assert claimed(Shares(weights), Rows(rows), ahead=11) == "abaaabaaabaa"


@given(WEIGHTS, st.lists(ROUND, min_size=1, max_size=30))
def test_shares_of_queues_with_a_backlog_are_their_weights(weights, rounds):
    shares, rows = Shares(weights), Rows(dict.fromkeys(weights, 10_000))
    counts = Counter(
        queue
        for limit, ahead in rounds
        for queue in claimed(shares, rows, limit=limit, ahead=ahead)
    )
    total, whole = sum(counts.values()), sum(weights.values())
    assert total == sum(map(sum, rounds))
    for queue, weight in weights.items():
        assert abs(counts[queue] - total * weight / whole) <= len(weights)


@given(
    WEIGHTS,
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20)),
    st.lists(ROUND, min_size=1, max_size=30),
)
def test_no_slot_is_idle_while_any_queue_has_tasks(weights, waiting, rounds):
    shares = Shares(weights)
    rows = Rows({queue: count for queue, count in waiting.items() if queue in weights})
    for limit, ahead in rounds:
        left = sum(rows.waiting.values())
        assert len(claimed(shares, rows, limit=limit, ahead=ahead)) == min(limit + ahead, left)


@given(WEIGHTS, st.integers(0, 12))
def test_queues_of_fragile_tasks_have_their_shares_too(weights, ahead):
    """Of such tasks only one is taken at a time, whatever else the worker has room for."""
    shares, rows = Shares(weights), Rows(dict.fromkeys(weights, 1000), fragile=weights)
    counts = Counter(claimed(shares, rows, ahead=ahead, rounds=60))
    assert counts.total() == 60
    for queue, weight in weights.items():
        assert abs(counts[queue] - 60 * weight / sum(weights.values())) <= len(weights)


def test_queue_that_was_empty_has_saved_up_nothing_and_is_asked_next():
    shares, rows = Shares({"a": 1, "b": 1}), Rows({"a": 1000})
    assert claimed(shares, rows, rounds=100) == "a" * 100
    rows.waiting["b"] = 100
    assert claimed(shares, rows, rounds=8) in ("babababa", "babbabab")


def test_queues_that_were_all_empty_begin_anew():
    shares, rows = Shares({"a": 1, "b": 1}), Rows({"a": 50})
    assert claimed(shares, rows, ahead=99) == "a" * 50
    assert claimed(shares, rows) == ""
    rows.waiting = {"a": 50, "b": 50}
    assert claimed(shares, rows, ahead=5) == "ababab"


def test_first_of_any_kind_goes_to_the_next_queue_if_the_first_has_none():
    shares, rows = Shares({"a": 3, "b": 1}), Rows({"b": 5}, fragile="b")
    assert claimed(shares, rows, limit=1, ahead=3) == "b"
    assert rows.asked == ["a", "b", "b"]
