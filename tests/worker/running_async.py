"""Coroutines that meet, and a worker that runs them until so many have ended."""

import asyncio

from tests.worker.running import Worker

LONG = 300.0  # a sleep that would fail the test if it were waited for
DEADLINE = 30


class Meeting:
    """Coroutines that go on when so many are there."""

    def __init__(self, size):
        self.size = size
        self.present = 0
        self._event = None

    async def join(self):
        if self._event is None:  # made by the first, in the loop that it belongs to
            self._event = asyncio.Event()
        self.present += 1
        if self.present == self.size:
            self._event.set()
        await asyncio.wait_for(self._event.wait(), DEADLINE)


def work_off(count, *, end="success", **options):
    """Run a worker until so many tasks have ended in this way."""
    worker = Worker(**{"sleep": LONG, "concurrency": 10, **options})

    def is_done(name, fields):
        return name == end and worker.events.names.count(end) >= count

    worker.summary = worker.run(until=is_done)
    return worker
