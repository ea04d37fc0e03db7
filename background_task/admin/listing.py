"""What the admin's two lists of tasks have in common, and the pages of their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet, TextField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..masking import hides, masked_params
from ..models import CompletedTask, Task
from .badge import rendered, task_badges
from .keyset import KeysetMixin, Reach
from .look import look_of
from .searching import HELP, Search
from .task_page import page_of, pretty, title_of, worker_link

#: What the lists show of arguments.
MOST_CHARS = 200
#: Columns that a list does not read, as texts of them may be long.
UNLISTED = ("errors", "trace_context")
#: Columns that no address may ask for, and neither for any text without a length: by asking what
#: it begins with, somebody could find out what is masked.
UNASKED = frozenset(("task_hash", "unique_key", "limit_key"))


@admin.display(description="task params")
def task_params(row: Task | CompletedTask) -> str:
    """Return the arguments as they are shown; its name is that of the column."""
    text = masked_params(row)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…"


@admin.display(description="has error")
def has_error(row: Task | CompletedTask) -> str:
    """Return in words whether an attempt has failed: the sign for "no" is a red cross."""
    return "yes" if row.has_error() else "no"


class TaskListMixin(KeysetMixin):
    """Shows how a task stands, and finds one in ways that an index or a bounded look serves."""

    change_form_template = "admin/background_task/task_page.html"
    search_help_text = HELP
    unlisted: ClassVar[tuple[str, ...]] = UNLISTED

    @admin.display(description="status")
    def status_word(self, obj: Task | CompletedTask) -> SafeString:
        """Return how the row stands, without asking the database."""
        is_paused = getattr(obj, "is_on_hold", False)
        return rendered(task_badges(obj, now=timezone.now(), is_paused=is_paused))

    @admin.display(description="locked by")
    def owner(self, obj: Task | CompletedTask) -> str | None:
        """Return the worker, with a link to it."""
        link = worker_link(self.admin_site, obj.locked_by or "")
        return format_html('<a href="{}">{}</a>', link.url, link.text) if link.url else link.text

    @admin.display(description="arguments")
    def masked_arguments(self, obj: Task | CompletedTask) -> SafeString:
        """Return the arguments as they are shown, for a form that must not have them raw."""
        return format_html("<pre>{}</pre>", pretty(masked_params(obj)))

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns; some of a model's own are shown in a better way.

        How a task stands comes second: further to the right, one would have to scroll for it.
        """
        shown: dict[Any, Any] = {
            "task_params": task_params,
            "has_error": has_error,
            "locked_by": _named(self.owner),
        }
        columns = list(super().get_list_display(request))
        if "status_word" in columns[1:]:
            columns.remove("status_word")
            columns.insert(1, "status_word")
        return [shown.get(column, column) for column in columns]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Tell whether an address may ask for this; Django before 5.0 passes no request."""
        name = lookup.partition("__")[0]
        if name in {field.name for field in self.opts.fields if isinstance(field, TextField)}:
            return False
        more = () if request is None else (request,)
        return name not in UNASKED and super().lookup_allowed(lookup, value, *more)

    def search_reach(self, query: str) -> Reach | None:
        """Return how the rows of a search are found."""
        search = Search.read(query)
        return None if search is None else search.reach

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows that are meant; none of them twice."""
        search = Search.read(search_term)
        if search is None:
            return queryset, False
        return search.among(queryset, look_of(request, queryset.model)), False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out of the form what is masked, and the hash by which a guess could be checked."""
        excluded = super().get_exclude(request, obj) or ()
        return (*excluded, "task_params", "task_hash") if self._hides(obj) else excluded or None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the arguments masked where the form does not have them.

        Nor can the function be changed then: as those of another one, they might be shown.
        """
        fields = tuple(super().get_readonly_fields(request, obj))
        return ("masked_arguments", "task_name", *fields) if self._hides(obj) else fields

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Show the life of the task above its form."""
        row = kwargs.get("obj")
        if row is not None:
            context["task_page"] = page_of(request, self.admin_site, row)
            context["subtitle"] = title_of(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def _hides(self, obj: Any) -> bool:
        return obj is not None and hides(obj)


def _named(owner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a column of the name that it has always had."""

    @admin.display(description="locked by")
    def locked_by(row: Task | CompletedTask) -> Any:
        return owner(row)

    return locked_by
