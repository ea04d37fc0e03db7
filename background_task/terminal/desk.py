"""The one thread of a terminal's program that asks the database."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.db import connections

Answer = TypeVar("Answer")


class Desk:
    """Does one thing after the other, on one connection, while the program goes on.

    It is a daemon: a database that does not answer must not keep anybody from leaving.
    """

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._serve, name="background_task desk", daemon=True
        )
        self._thread.start()

    async def ask(self, act: Callable[[], Answer]) -> Answer:
        """Call a function there; return what it returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._inbox.put((act, loop, answer))
        return await answer

    def close(self, timeout: float) -> None:
        """Close the connection, and wait for that at most so many seconds."""
        self._inbox.put(None)
        self._thread.join(timeout)

    def _serve(self) -> None:
        try:
            while (asked := self._inbox.get()) is not None:
                act, loop, answer = asked
                settle, value = answer.set_result, None
                try:
                    value = act()
                except Exception as error:  # noqa: BLE001 - whoever has asked is told
                    connections.close_all()  # the next one begins with another connection
                    settle, value = answer.set_exception, error
                with suppress(RuntimeError):  # nobody waits any more: the loop is closed
                    loop.call_soon_threadsafe(_settle, answer, settle, value)
        finally:
            connections.close_all()


def _settle(answer: asyncio.Future[Any], settle: Callable[[Any], object], value: Any) -> None:
    if not answer.done():  # cancelled meanwhile
        settle(value)
