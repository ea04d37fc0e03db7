"""What can be searched for in the lists of tasks, and how far a search looks.

Arguments are searched as they are shown: nobody learns by searching what is masked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.formats import number_format

from ..masking import masked_params
from .keyset import Reach
from .look import Look

#: Arguments are searched in so many rows. What is found is read in groups of so many, with so much
#: text in all, and until there are so many.
MOST_ROWS, GROUP, MOST_CHARS, MOST_FOUND = 10_000, 2_000, 16_000_000, 500
LARGEST_KEY = 2**63 - 1
PREFIXES = ("id", "uid", "name", "creator", "arg")
HELP = (
    "A number is the id of a row, a UUID that of a task. Other text is looked for in the names of "
    "functions and in arguments. Or say what you mean, id:7, uid:…, name:send, arg:42, "
    "creator:app.model:7 or creator:7."
)


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody searches for.

    Attributes:
        kind: One of ``PREFIXES``; or "any", which is a name or an argument.
        text: What was typed.
    """

    kind: str
    text: str

    @classmethod
    def read(cls, query: str) -> Search | None:
        """Return what is meant by a query; None if there is none."""
        query = query.strip()
        kind, separator, text = query.partition(":")
        if separator and kind in PREFIXES:
            return cls(kind, text.strip())
        if query.isdecimal() and query.isascii():
            return cls("id", query)
        if _uid(query) is not None:
            return cls("uid", query)
        return cls("any", query) if query else None

    @property
    def reach(self) -> Reach:
        """How the rows are found."""
        return "served" if self.kind in ("id", "uid", "creator") else "windowed"

    def among(self, rows: QuerySet[Any], look: Look) -> QuerySet[Any]:
        """Return those of the rows that are meant."""
        match self.kind:
            case "id":
                is_key = self.text.isdecimal() and int(self.text) <= LARGEST_KEY
                return rows.filter(pk=int(self.text)) if is_key else rows.none()
            case "uid":
                uid = _uid(self.text)
                return rows.none() if uid is None else rows.filter(uid=uid)
            case "creator":
                return rows.filter(_creator(self.text, rows))
            case "name":
                return rows.filter(task_name__in=self._names(look))
        found = Q(pk__in=found_keys(rows, self.text, look))
        names = self._names(look) if self.kind == "any" else []
        return rows.filter(found | Q(task_name__in=names) if names else found)

    def _names(self, look: Look) -> list[str]:
        part = self.text.casefold()
        return [*(name for name in look.names if part in name.casefold()), self.text]


def found_keys(rows: QuerySet[Any], text: str, look: Look) -> list[int]:
    """Return the keys of the newest rows in whose arguments, as they are shown, is a text.

    The database finds those that have it as they are stored. What of that is masked is left out.
    """
    rows = rows if rows.query.order_by else rows.order_by("-pk")  # Django 4.2 searches first
    likely = rows.filter(_is_likely(text))
    if rows.query.order_by == ("-pk",):
        for edge in rows.values_list("pk", flat=True)[MOST_ROWS : MOST_ROWS + 1]:
            number = number_format(MOST_ROWS, force_grouping=True)
            look.note(f"Arguments were searched in the newest {number} rows of this list only.")
            likely = likely.filter(pk__gt=edge)
    calls = likely.values_list(
        *("pk", "task_name", "task_params", "options", "backend"), named=True
    )
    sought, chars = text.casefold(), 0
    keys: list[int] = []
    for start in range(0, MOST_ROWS, GROUP):
        group = list(calls[start : start + GROUP])
        for call in group:
            if chars > MOST_CHARS or len(keys) == MOST_FOUND:
                look.note(f"Only the newest {len(keys)} that were found are shown; ask for less.")
                return keys
            chars += len(call.task_params)
            if sought in _shown(call).casefold():
                keys.append(call.pk)
        if len(group) < GROUP:
            break
    return keys


def _is_likely(text: str) -> Q:
    """Return the condition for arguments with a text as it was typed, or as JSON escapes it."""
    found = Q(task_params__icontains=text)
    if not text.isascii():
        for letters in {text, text.lower(), text.upper(), text.capitalize()}:
            found |= Q(task_params__icontains=json.dumps(letters)[1:-1])
    return found


def _shown(call: Any) -> str:
    """Return the arguments as they are shown, also in letters that JSON has escaped."""
    text = masked_params(call)
    if "\\u" not in text:
        return text
    try:
        return f"{text}\n{json.dumps(json.loads(text), ensure_ascii=False)}"
    except (ValueError, RecursionError):
        return text


def _uid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _creator(text: str, rows: QuerySet[Any]) -> Q:
    """Return the condition for the rows of a creator, of one model or of any."""
    kind, separator, key = text.rpartition(":")
    app, _, model = kind.partition(".")
    types = ContentType.objects.db_manager(rows.db)
    if separator:
        kinds = list(types.filter(app_label=app, model=model.lower()).values_list("pk", flat=True))
    else:  # one look into the index for each model there is
        own = rows.model._default_manager.filter(
            creator_content_type=OuterRef("pk"), creator_object_id=key
        )
        kinds = list(types.filter(Exists(own)).values_list("pk", flat=True))
    if len(kinds) == 1:  # an index has them in the order of the list
        return Q(creator_content_type=kinds[0], creator_object_id=key)
    return Q(creator_content_type__in=kinds, creator_object_id=key)
