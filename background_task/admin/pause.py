"""The list of what is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ..exceptions import InvalidOptionError
from ..models import Pause
from ..option import check_name
from ..store import task_database
from ..store.pause import Pauses, key_of
from .checkbox import CheckboxMixin
from .journal import Entry, write_log

if TYPE_CHECKING:
    PauseModelAdmin = admin.ModelAdmin[Pause]
    PauseModelForm = forms.ModelForm[Pause]
else:  # Django's class takes no parameters when the program runs
    PauseModelAdmin = admin.ModelAdmin
    PauseModelForm = forms.ModelForm


class PauseForm(PauseModelForm):
    """Asks what is to be paused; an empty name is the unnamed queue."""

    class Meta:
        model = Pause
        fields = ("kind", "name")

    def clean(self) -> dict[str, Any]:
        """Refuse a name that no function can have."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("kind") == Pause.FUNCTION:
            try:
                check_name(given.get("name"))
            except InvalidOptionError as error:
                raise forms.ValidationError(str(error)) from error
        return given


@admin.register(Pause)
class PauseAdmin(CheckboxMixin, PauseModelAdmin):
    """What no worker takes for now; adding a row pauses, deleting one resumes."""

    form = PauseForm
    list_display = ("name_or_unnamed", "kind", "paused_at")
    list_filter = ("kind",)
    search_fields = ("name",)
    ordering = ("paused_at",)
    actions = ("resume",)

    def has_change_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        """There is nothing to be changed in a pause: it is there or not."""
        return False

    @admin.display(description="name", ordering="name")
    def name_or_unnamed(self, obj: Pause) -> str:
        """Return the name; the unnamed queue has none."""
        return obj.name or "(the unnamed queue)"

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Pause it, unless it is paused already."""
        obj.key = key_of(obj.kind, obj.name)
        if not Pauses(task_database()).pause(obj.kind, obj.name):
            self.message_user(request, f"{obj} is paused already.", messages.WARNING)
        obj.refresh_from_db(using=task_database())

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        """Resume it."""
        Pauses(task_database()).resume(obj.kind, obj.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """Resume them."""
        for pause in queryset:
            self.delete_model(request, pause)

    @admin.action(description="Resume", permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """Let workers go on with these."""
        pauses = Pauses(task_database())
        resumed = [row for row in queryset if pauses.resume(row.kind, row.name)]
        write_log(request, Pause, [Entry(row.key, str(row), "Resumed.") for row in resumed])
        self.message_user(request, f"Resumed: {len(resumed)}")
