"""Throwaway database servers in temporary folders, on free ports of 127.0.0.1.

Standard library only. runtests.py starts a server and owns its process; a test reaches the same
server through `current()` to stop, start or restart it in the middle of something.
"""

from tests.servers.base import Server, UnavailableError
from tests.servers.control import Remote, controlled, current, why_not_controlled
from tests.servers.mariadb import start_mariadb
from tests.servers.postgresql import start_postgresql

__all__ = [
    "Remote",
    "Server",
    "UnavailableError",
    "controlled",
    "current",
    "start_mariadb",
    "start_postgresql",
    "why_not_controlled",
]
