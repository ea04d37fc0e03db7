"""The store of the database under test, and rivals' scenes."""

from tests.concurrency.conftest import PLAIN, scenes
from tests.store.conftest import any_store, store

__all__ = ["PLAIN", "any_store", "scenes", "store"]
