"""The same work in bare SQL, with no Python queue around it.

`python -m benchmarks.floor KIND ADDRESS BATCH SECONDS` drains a table made by `make`: claim so
many rows in one commit, finish them in another. A batch of 1 is what a queue does that commits each
step.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from typing import Any

#: Name of the variant -> rows a commit.
BATCHES = {"two-step": 1, "batch-50": 50, "batch-500": 500}

TABLES = """
CREATE TABLE floor (
    id {serial},
    queue varchar(190), name varchar(190) NOT NULL, args text NOT NULL,
    priority integer NOT NULL, run_at {time} NOT NULL, owner varchar(64), claimed_at {time}
);
CREATE INDEX floor_ready ON floor (priority DESC, run_at, id) WHERE owner IS NULL;
CREATE TABLE floor_done (
    id bigint PRIMARY KEY,
    queue varchar(190), name varchar(190) NOT NULL, args text NOT NULL,
    priority integer NOT NULL, run_at {time} NOT NULL, owner varchar(64), claimed_at {time}
);
"""
TYPES = {
    "postgresql": {"serial": "bigserial PRIMARY KEY", "time": "timestamptz"},
    "sqlite": {"serial": "integer PRIMARY KEY", "time": "text"},
}
FILL = (
    "INSERT INTO floor (name, args, priority, run_at) "
    "SELECT 'benchmarks.project.tasks.nothing', '', 0, CURRENT_TIMESTAMP FROM {numbers}"
)
READY = (
    "SELECT id FROM floor WHERE owner IS NULL AND run_at <= CURRENT_TIMESTAMP "
    "ORDER BY priority DESC, run_at, id LIMIT"
)


def make(connection: Any, kind: str, numbers: str) -> None:
    """Make the tables and fill them."""
    for statement in [*TABLES.format(**TYPES[kind]).split(";")[:-1], FILL.format(numbers=numbers)]:
        connection.execute(statement)


class Floor(ABC):
    """One client."""

    @abstractmethod
    def claim(self, batch: int) -> list[Any]:
        """Take rows and return their keys."""

    @abstractmethod
    def finish(self, keys: list[Any]) -> None:
        """Move them into the archive."""


class PostgreSQLFloor(Floor):
    def __init__(self, address: str) -> None:
        import psycopg

        self.connection = psycopg.connect(address, autocommit=True, prepare_threshold=0)

    def claim(self, batch: int) -> list[Any]:
        found = self.connection.execute(
            "UPDATE floor SET owner = %s, claimed_at = CURRENT_TIMESTAMP WHERE id IN "
            f"({READY} {batch} FOR UPDATE SKIP LOCKED) RETURNING id, name, args",
            ["me"],
        )
        return [row[0] for row in found]

    def finish(self, keys: list[Any]) -> None:
        self.connection.execute(
            "WITH gone AS (DELETE FROM floor WHERE id = ANY(%s) AND owner = %s RETURNING *) "
            "INSERT INTO floor_done SELECT * FROM gone",
            [keys, "me"],
        )


class SQLiteFloor(Floor):
    def __init__(self, address: str) -> None:
        self.connection = sqlite3.connect(address, timeout=20, isolation_level=None)

    def claim(self, batch: int) -> list[Any]:
        found = self.connection.execute(
            "UPDATE floor SET owner = ?, claimed_at = CURRENT_TIMESTAMP WHERE id IN "
            f"({READY} {batch}) RETURNING id, name, args",
            ["me"],
        ).fetchall()
        return [row[0] for row in found]

    def finish(self, keys: list[Any]) -> None:
        marks = ", ".join("?" * len(keys))
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(
            f"INSERT INTO floor_done SELECT * FROM floor WHERE id IN ({marks}) AND owner = 'me'",
            keys,
        )
        self.connection.execute(f"DELETE FROM floor WHERE id IN ({marks}) AND owner = 'me'", keys)
        self.connection.execute("COMMIT")


FLOORS = {"postgresql": PostgreSQLFloor, "sqlite": SQLiteFloor}


def drain(floor: Floor, batch: int, seconds: float) -> dict[str, float]:
    """Work until the time is over or nothing is left."""
    done = 0
    floor.finish(floor.claim(batch))  # plans and caches
    cpu, began = time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds and (keys := floor.claim(batch)):
        floor.finish(keys)
        done += len(keys)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": done / elapsed, "count": done, "cpu_per_1000": cpu * 1000 / max(done, 1)}


def main() -> None:
    kind, address, batch, seconds = sys.argv[1:]
    floor = FLOORS[kind](address)
    with contextlib.closing(floor.connection):
        print(json.dumps(drain(floor, int(batch), float(seconds))))


if __name__ == "__main__":
    main()
