"""What a worker asks the database for when it does not know what it holds."""

from types import SimpleNamespace

import pytest
from django.db import OperationalError

from background_task.worker.hand import Hand
from tests.claims import a_claim


class Scene:
    """A hand with one executor; its process has stood still, and the database is away."""

    def __init__(self, claim):
        self.runs = [claim]
        executor = SimpleNamespace(claims=lambda: list(self.runs))
        store = SimpleNamespace(held_by=lambda name: [claim])
        polling = SimpleNamespace(wake=lambda: None)
        identity = SimpleNamespace(name="w", is_overdue=lambda: True, renew=self.renew)
        gatherer = SimpleNamespace(claims=list)
        self.hand = Hand(
            store,
            identity=identity,
            parts=[SimpleNamespace(executor=executor, take_back=list)],
            gatherer=gatherer,
            polling=polling,
        )

    def renew(self):
        raise OperationalError("away")


@pytest.fixture
def claim():
    return a_claim(owner="w")


def test_adopt_while_an_executor_drops_what_it_must_not_begin_looks_again(claim):
    """The rivals: the loop that looks for lost claims, and the thread that is about to drop one.

    Before it has, the claim seems to run. If the loop took that for an answer, the claim would be
    held for as long as the worker lives, and run by nobody.
    """
    scene = Scene(claim)
    assert not scene.hand.may_begin(claim)
    assert scene.hand.adopt() == []
    assert scene.hand.is_unsure
    scene.runs.clear()
    assert scene.hand.adopt() == [claim]
    assert not scene.hand.is_unsure
    assert scene.hand.adopt() == []
