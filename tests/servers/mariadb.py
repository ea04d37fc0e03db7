"""MariaDB or MySQL installed on the machine."""

import os
import socket
from pathlib import Path

from tests.servers.base import DURABLE, Server, UnavailableError, find_program


class MariaDB(Server):
    """One MariaDB or MySQL server."""

    name = "mariadb"

    def __init__(self, daemon: Path) -> None:
        super().__init__()
        self.daemon = daemon
        self.data = self.folder / "data"

    def prepare(self) -> None:
        version = self.run(self.daemon, "--no-defaults", "--version").strip()
        is_mariadb = "mariadb" in version.lower()
        number = version.partition(" Ver ")[2].split()[0]
        self.description = f"{'MariaDB' if is_mariadb else 'MySQL'} {number} ({self.daemon})"
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
        )
        if is_mariadb:
            self.run(
                self._install_program(),
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *self._account_option(),
            )
        else:
            self.run(
                self.daemon,
                "--no-defaults",
                "--initialize-insecure",
                f"--datadir={self.data}",
                *self._account_option(),
            )

    def _install_program(self) -> Path:
        for name in ("mariadb-install-db", "mysql_install_db"):
            if found := find_program(name):
                return found
        raise UnavailableError(f"{self.daemon} is here, but mariadb-install-db is not")

    def _account_option(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def command(self) -> list[str]:
        options = [
            f"--datadir={self.data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--init-file={self.folder / 'init.sql'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--loose-mysqlx=OFF",  # MySQL: no second port; MariaDB passes over a "loose" option
            "--character-set-server=utf8mb4",
            "--max-connections=200",
            *self._account_option(),
        ]
        if not os.environ.get(DURABLE):
            # 2: a commit reaches the operating system, so a killed server loses nothing.
            options += ["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0"]
        return [str(self.daemon), "--no-defaults", *options]

    def is_ready(self) -> bool:
        """The server speaks first: a greeting of protocol 10."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5)[4:5] == b"\x0a"
        except OSError:
            return False


def start_mariadb() -> MariaDB:
    """Start the MariaDB or MySQL of this machine."""
    daemon = find_program("mariadbd") or find_program("mysqld")
    if daemon is None:
        raise UnavailableError("no mariadbd or mysqld on this machine (Debian: mariadb-server)")
    server = MariaDB(daemon)
    try:
        server.start()
    except (OSError, UnavailableError) as error:
        server.remove()
        raise UnavailableError(f"{daemon}: {error}") from error
    return server
