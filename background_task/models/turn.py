"""Rows on which callers take turns."""

from __future__ import annotations

from django.db import models

#: How many rows there are: calls of different tasks rarely meet on the same one.
TURNS = 64


class Turn(models.Model):
    """A row to lock for calls that must not be made at the same time; see ``MySQLStore``."""

    number = models.PositiveSmallIntegerField(primary_key=True)

    def __str__(self) -> str:
        return f"turn {self.number}"
