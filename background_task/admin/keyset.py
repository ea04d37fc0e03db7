"""Lists that cost the same however many rows there are: nothing is counted, nothing skipped.

A page begins beside a primary key. Filters that no index serves look at a window of the newest rows
only, and the page says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import F, Model, QuerySet
from django.forms import Media
from django.http import HttpRequest
from django.utils.formats import number_format

from .checkbox import CheckboxMixin
from .look import look_of

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:  # Django's class takes no parameters when the program runs
    AnyModelAdmin = admin.ModelAdmin

#: As many rows are told one by one; of more, the page says that there are more.
MOST_COUNTED = 1_000
#: Filters without an index look at so many of the newest rows.
WINDOW = 10_000
#: How the rows of a filter or a search are found: by an index that has few of them, which are then
#: sorted; by an index that has them in the order of the list; or by looking at each one.
Reach = Literal["gathered", "served", "windowed"]
PLACE = re.compile(r"(older|newer)-than-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins.

    Attributes:
        is_older: Whether it has the rows with smaller keys than ``key``, or those with larger ones.
        key: The primary key beside it.
    """

    is_older: bool
    key: int

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Return what stands in the address; None is the page of the newest rows."""
        found = PLACE.fullmatch(text)
        return None if found is None else cls(found[1] == "older", int(found[2]))

    def __str__(self) -> str:
        return f"{'older' if self.is_older else 'newer'}-than-{self.key}"


class KeysetChangeList(ChangeList):
    """The rows from the newest to the oldest, page by page."""

    model_admin: KeysetMixin
    is_gathered = is_capped = False
    _whole: QuerySet[Any] | None = None

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters; what they are applied to is the window, if they need one.

        Django applies them to ``root_queryset`` as soon as this has returned.
        """
        found = super().get_filters(request)
        reaches = [spec_reach(spec) for spec in found[0]]
        reaches.append(self.model_admin.search_reach(self.query))
        if found[2]:  # what the address asks of columns without a filter
            reaches.append("windowed")
        self._whole = self.root_queryset if self._whole is None else self._whole
        self.root_queryset = self._whole
        self.is_gathered = "gathered" in reaches
        if "windowed" in reaches and not self.is_gathered:
            self.root_queryset = windowed(self._whole, request)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the only order: the newest first.

        What an index has gathered is sorted by an expression: by the key itself, a planner might
        rather walk through the whole table and hope to meet ten rows of ten million soon.
        """
        return [(F("pk") + 0).desc()] if self.is_gathered else ["-pk"]

    def get_ordering_field_columns(self) -> dict[int, Literal["asc", "desc"]]:
        """Return no column: the order is that of the key."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Read a page, and the keys of as many rows as are told one by one."""
        keys = list(self.queryset.values_list("pk", flat=True)[: MOST_COUNTED + 1])
        self.is_capped = len(keys) > MOST_COUNTED
        self.result_count = len(keys)
        rows, has_newer, has_older = self._page(Place.read(request.GET.get(PAGE_VAR, "")))
        if rows and keys:
            has_newer = has_newer or keys[0] > rows[0].pk
        self.newest_url = self.get_query_string() if has_newer else ""
        self.newer_url = self._url(Place(False, rows[0].pk)) if has_newer and rows else ""
        self.older_url = self._url(Place(True, rows[-1].pk)) if has_older else ""
        self.oldest_url = self._url(Place(False, 0)) if has_older else ""
        self.model_admin.complete_rows(rows)
        self.result_list = rows
        self.full_result_count = None
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
        self.paginator = Paginator(rows, self.list_per_page)
        self.notes = list(look_of(request, self.model).notes)

    @property
    def count_in_words(self) -> str:
        """How many rows there are, as far as they were counted."""
        if self.is_capped:
            return f"more than {number_format(MOST_COUNTED, force_grouping=True)}"
        return str(self.result_count)

    def _url(self, place: Place) -> str:
        return self.get_query_string({PAGE_VAR: str(place)})

    def _page(self, place: Place | None) -> tuple[list[Any], bool, bool]:
        """Return the rows of a page, and whether there are newer and older ones."""
        most = self.list_per_page
        rows = self.queryset.defer(*self.model_admin.unlisted)
        if place is not None and not place.is_older:
            order = self.get_ordering(None, rows)[0]  # type: ignore[arg-type]
            ascending = "pk" if order == "-pk" else (F("pk") + 0).asc()
            found = list(self._beside(rows, place).order_by(ascending)[: most + 1])
            if len(found) >= most:  # else there is room for more on the first page
                return found[:most][::-1], len(found) > most, place.key > 0
        is_later = place is not None and place.is_older
        if is_later and place is not None:
            rows = self._beside(rows, place)
        found = list(rows[: most + 1])
        return found[:most], is_later, len(found) > most

    def _beside(self, rows: QuerySet[Any], place: Place) -> QuerySet[Any]:
        side = "lt" if place.is_older else "gt"
        name = "place" if self.is_gathered else "pk"  # see ``get_ordering``
        rows = rows.alias(place=F("pk") + 0) if self.is_gathered else rows
        beside: QuerySet[Any] = rows.filter(**{f"{name}__{side}": place.key})
        return beside


class KeysetMixin(CheckboxMixin, AnyModelAdmin):
    """A list of which each page costs the same."""

    change_list_template = "admin/background_task/rows.html"
    show_full_result_count: ClassVar = False
    #: Counts beside the choices of filters, which Django offers from 5.0 on, count all rows.
    show_facets: ClassVar[Any] = getattr(getattr(admin, "ShowFacets", None), "NEVER", None)
    sortable_by: ClassVar[Any] = ()
    #: Columns that a list does not read.
    unlisted: ClassVar[tuple[str, ...]] = ()

    @property
    def media(self) -> Media:
        """The style of badges and pages, beside all others."""
        return super().media + Media(css={"all": ("background_task/admin.css",)})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the kind of the list."""
        return KeysetChangeList

    def search_reach(self, query: str) -> Reach | None:
        """Return how the rows of a search are found; None if nothing is searched for."""
        return "windowed" if query else None

    def complete_rows(self, rows: list[Any]) -> None:
        """Add to the rows of a page what their columns need, with few queries for all of them."""


def spec_reach(spec: Any) -> Reach | None:
    """Return how the rows of a filter are found; None if nothing is chosen in it."""
    if not any(value not in (None, []) for value in spec.used_parameters.values()):
        return None
    reach: Reach = getattr(spec, "reach", "windowed")
    return reach


def windowed(rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Return only those of the rows that are among the newest of the table.

    By the key of the oldest of them: MySQL knows no LIMIT in a subquery of IN.
    """
    model: type[Model] = rows.model
    table = model._default_manager.using(rows.db).order_by("-pk")
    floor = table.values_list("pk", flat=True)[WINDOW : WINDOW + 1]
    for key in floor:
        number = number_format(WINDOW, force_grouping=True)
        name = model._meta.verbose_name_plural
        look_of(request, model).note(
            f"No index serves this choice, so only the newest {number} {name} were looked at."
        )
        return rows.filter(pk__gt=key)
    return rows
