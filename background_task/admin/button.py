"""The actions as buttons on the page of one task: the same rights, the same code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import path, reverse

from ..models import CompletedTask, Task
from .confirmation import carry_out
from .deed import Deed
from .right import RightsMixin

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:  # Django's class takes no parameters when the program runs
    AnyModelAdmin = admin.ModelAdmin


@dataclass(frozen=True, slots=True)
class Button:
    """A button on the page of a task.

    Attributes:
        title: What stands on it.
        url: Where it posts to.
        asks: Whether a page asks before anything is done.
    """

    title: str
    url: str
    asks: bool


class ButtonsMixin(RightsMixin, AnyModelAdmin):
    """Puts what can be done to a task into the context of its page, as ``task_actions``.

    The template shows it, outside of the page's form, with
    ``{% include "admin/background_task/includes/task_actions.html" %}``.
    """

    deeds: ClassVar[tuple[Deed, ...]] = ()

    def get_urls(self) -> list[Any]:
        """Return the addresses that the buttons post to, before all others."""
        view = self.admin_site.admin_view(self.act_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        return [path("<path:object_id>/act/<slug:name>/", view, name=name), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the form, beside what can be done."""
        obj = context.get("original")
        context["task_actions"] = [] if obj is None else self.get_task_actions(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_task_actions(self, request: HttpRequest, obj: Any) -> list[Button]:
        """Return what this user can do to this task, as it stands."""
        return [
            Button(
                deed.title, self._reverse("act", quote(obj.pk), deed.name), bool(deed.consequence)
            )
            for deed in self.deeds
            if deed.fits(obj) and self._may(request, deed)
        ]

    def act_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do one thing to one task; or ask first, and be posted to again."""
        deed = next((deed for deed in self.deeds if deed.name == name), None)
        if deed is None:
            raise Http404(f"there is no action {name!r}")
        if not self.has_view_or_change_permission(request) or not self._may(request, deed):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            text = f"There is no {self.opts.verbose_name} {object_id!r} any more."
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self._reverse("changelist"))
        rows = self.get_queryset(request).filter(pk=obj.pk)
        back = self._reverse("change", quote(obj.pk))
        response = carry_out(deed, self, request, rows, back=back)
        return HttpResponseRedirect(self._where(request, obj)) if response is None else response

    def _may(self, request: HttpRequest, deed: Deed) -> bool:
        return bool(getattr(self, f"has_{deed.right}_permission")(request))

    def _where(self, request: HttpRequest, obj: Any) -> str:
        """Return the address of the task, which may have been archived just now; else the list."""
        model, key = type(obj), obj.pk
        if not self.get_queryset(request).filter(pk=key).exists():
            archive = CompletedTask.objects.filter(uid=obj.uid, uid__isnull=False)
            key = archive.values_list("pk", flat=True).first() if model is Task else None
            model = CompletedTask
        other = self.admin_site._registry.get(model)
        if key is None or other is None or not other.has_view_or_change_permission(request):
            return self._reverse("changelist")
        return self._reverse("change", quote(key), model=model)

    def _reverse(self, view: str, *args: Any, model: Any = None) -> str:
        opts = self.opts if model is None else model._meta
        name = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_{view}"
        return reverse(name, args=args)
