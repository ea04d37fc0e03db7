"""The stores, and scenes for rivals."""

import pytest

from background_task.models import Pause
from background_task.store import Store, get_store
from tests.concurrency.conftest import Scenes


@pytest.fixture
def store(db):
    return get_store()


@pytest.fixture(params=["own", "plain"])
def either(request, store):
    return store if request.param == "own" else Store(store.using)


class PauseScenes(Scenes):
    """Scenes that begin with nothing paused."""

    def waiting(self, **values):
        Pause.objects.all().delete()
        return super().waiting(**values)

    def waiting_in_paused_queue(self):
        scene = self.waiting(queue="stopped")
        scene.store.pauses.pause("queue", "stopped")
        return scene


@pytest.fixture
def scenes(transactional_db):
    return PauseScenes(get_store())
