"""Tasks that every worker started by the tests knows. Kept small: one effect each."""

from pathlib import Path

from background_task import background
from tests.app.models import Ledger
from tests.waiting import wait_until


@background
def record(key):
    """Write one ledger row."""
    Ledger.objects.create(key=key)


@background
def fail(message="failed on purpose"):
    """Raise, always."""
    raise RuntimeError(message)


@background
def hold(key, path, deadline=60):
    """Say that it runs, then go on only once the file at `path` exists."""
    Ledger.objects.create(key=f"{key}:started")
    wait_until(Path(path).exists, deadline=deadline, message=f"no file came at {path}")
    Ledger.objects.create(key=f"{key}:finished")
