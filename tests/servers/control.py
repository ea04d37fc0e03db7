"""Reaching the server of the run from inside a test, which is another process."""

import contextlib
import os
import threading
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from tests.servers.base import Server, UnavailableError

CONTROL = "BACKGROUND_TASK_TEST_CONTROL"


@contextlib.contextmanager
def controlled(server: Server) -> Iterator[dict[str, str]]:
    """Let another process stop and start the server; yields the environment it needs for that."""
    key = os.urandom(16)
    with Listener(("127.0.0.1", 0), authkey=key) as listener:
        threading.Thread(target=_obey, args=(listener, server), daemon=True).start()
        host, port = listener.address
        yield {CONTROL: f"{host}:{port}:{key.hex()}"}


def _obey(listener: Listener, server: Server) -> None:
    while True:
        try:
            connection = listener.accept()
        except AuthenticationError:
            continue
        except OSError:
            return  # closed: the run is over
        # A test that was killed while it waited for the answer is no reason to stop listening.
        with connection, contextlib.suppress(EOFError, ConnectionError):
            verb, options = connection.recv()
            try:
                getattr(server, verb)(**options)
            except (OSError, UnavailableError) as error:
                connection.send(str(error))
            else:
                connection.send(None)


class Remote:
    """The run's server as seen from a test."""

    def __init__(self, address: str) -> None:
        host, port, key = address.split(":")
        self._address = (host, int(port))
        self._key = bytes.fromhex(key)

    def start(self) -> None:
        self._ask("start")

    def stop(self, *, immediately: bool = False) -> None:
        self._ask("stop", immediately=immediately)

    def restart(self, *, immediately: bool = False) -> None:
        self._ask("restart", immediately=immediately)

    def _ask(self, verb: str, **options: object) -> None:
        connection: Connection[Any, Any]
        with Client(self._address, authkey=self._key) as connection:
            connection.send((verb, options))
            if (error := connection.recv()) is not None:
                raise UnavailableError(error)


def current() -> Remote | None:
    """The server that this run controls, or None; `why_not_controlled` then says why."""
    address = os.environ.get(CONTROL)
    return Remote(address) if address else None


def why_not_controlled() -> str:
    if os.environ.get("BACKGROUND_TASK_TEST_DATABASE", "sqlite") == "sqlite":
        return "SQLite has no server to stop"
    return "this run did not start its database server; runtests.py does"
