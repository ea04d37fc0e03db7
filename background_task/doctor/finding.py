"""What the doctor says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

PROBLEM = "problem"
ADVICE = "advice"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        id: Its stable name.
        what: What is so.
        why: Why that matters.
        remedy: What to do about it.
        level: ``PROBLEM`` if it has to be mended, ``ADVICE`` if it should be known.
    """

    id: str
    what: str
    why: str
    remedy: str
    level: str = PROBLEM


@dataclass(frozen=True)
class Limits:
    """From where on something is found.

    Attributes:
        overdue: How long a row may be due while workers are alive.
        transaction: How long a transaction may be open.
        clock: How far this host's clock may be from the database's.
        dead_rows: Fewer dead rows of a table than these never matter.
        sqlite_timeout: How long SQLite should wait for its lock.
    """

    overdue: timedelta = timedelta(minutes=5)
    transaction: timedelta = timedelta(minutes=5)
    clock: timedelta = timedelta(seconds=2)
    dead_rows: int = 10_000
    sqlite_timeout: timedelta = timedelta(seconds=5)


@dataclass
class Report:
    """All that was found in one database.

    Attributes:
        database: Its alias.
        vendor: What kind of database it is.
        findings: What was found.
        facts: Numbers that are worth knowing even if nothing is wrong.
    """

    database: str
    vendor: str
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing has to be mended."""
        return all(finding.level != PROBLEM for finding in self.findings)
