"""What all measurements of a run share: servers, environments, and a fresh database each time."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import environments
from .environments import InstallError
from .hosts import Host
from .peers import Peer, Place, load
from .processes import FailedError, Project
from .servers import HOSTS

#: Databases with so many rows are kept to be copied again: fewer are quick to make, more too large.
KEPT = range(100_000, 2_100_000)


class Bench:
    """Starts things when they are first needed, and ends them all in `close`."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._hosts: dict[str, Host] = {}
        self._templates: dict[tuple[str, str], Place] = {}
        self._stock: dict[tuple[str, str, int, int], Place] = {}
        self._missing: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def host(self, kind: str) -> Host:
        """Return the server of a kind, or raise UnavailableError."""
        if kind not in self._hosts:
            self._hosts[kind] = HOSTS[kind]()
        return self._hosts[kind]

    def hosts(self) -> list[Host]:
        return list(self._hosts.values())

    def python(self, peer: Peer) -> Path:
        """Return the Python that has this peer; a failure is remembered, not tried again."""
        if peer.name in self._missing:
            raise FailedError(self._missing[peer.name])
        requirements = (*environments.PROJECT, *peer.requirements)
        if peer.is_ours:
            requirements += ("PyMySQL>=1.1",)
        try:
            return environments.environment(peer.name, requirements, python=self._python)
        except InstallError as error:
            self._missing[peer.name] = f"not installed: {error}"
            raise FailedError(self._missing[peer.name]) from error

    def new_name(self, peer: str) -> str:
        return f"b{next(self._numbers)}_{peer}"

    def template(self, peer: Peer, kind: str) -> Place:
        """Return a migrated database with one pending task, to be copied."""
        key = (peer.name, kind)
        if key not in self._templates:
            place = self.host(kind).create(self.new_name(peer.name))
            Project(peer, self.python(peer), place, "best").client("prepare")
            self._templates[key] = place
        return self._templates[key]

    @contextlib.contextmanager
    def project(
        self, peer: Peer, kind: str, config: str, *, pending: int = 0, finished: int = 0
    ) -> Iterator[Project]:
        """Yield the peer's project in a database of its own, with so many tasks in it.

        With no number for `pending` there is one task that serves to clone others.
        """
        host = self.host(kind)
        if kind == "mariadb":
            place = host.create(self.new_name(peer.name))
        elif pending + finished in KEPT:
            place = self._copy_of_stock(peer, kind, pending, finished)
        else:
            place = host.copy(self.template(peer, kind), self.new_name(peer.name))
        project = Project(peer, self.python(peer), place, config)
        try:
            if kind == "mariadb":
                project.client("prepare")
            elif pending + finished not in KEPT:
                self._fill(project, pending, finished)
            yield project
        finally:
            host.drop(place)

    def _copy_of_stock(self, peer: Peer, kind: str, pending: int, finished: int) -> Place:
        """Copy a large database, which takes less time than filling it."""
        host = self.host(kind)
        key = (peer.name, kind, pending, finished)
        if key not in self._stock:
            place = host.copy(self.template(peer, kind), self.new_name(peer.name))
            self._fill(Project(peer, self.python(peer), place, "best"), pending, finished)
            self._stock[key] = place
        return host.copy(self._stock[key], self.new_name(peer.name), is_large=True)

    def _fill(self, project: Project, pending: int, finished: int) -> None:
        """Add tasks until there are so many."""
        table = project.peer.table
        host = self.host(project.place.kind)
        if finished:
            assert table is not None
            host.clone(project.place, table, finished, finished=True)
        if pending:
            if table is not None and table.can_be_cloned:
                host.clone(project.place, table, pending - 1)
            else:
                project.client("fill", pending)
            host.settle(project.place)

    def versions(self) -> dict[str, Any]:
        """Return what was installed for each peer that was measured."""
        return {
            peer: Project(load(peer), self.python(load(peer)), place, "best").client("versions")
            for (peer, _), place in self._templates.items()
        }

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()
