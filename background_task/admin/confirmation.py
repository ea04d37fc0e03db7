"""Carrying out what somebody wants, after asking where it cannot be undone or touches much."""

from __future__ import annotations

from collections import Counter
from typing import Any

import django
from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from .batch import batches, glance
from .deed import Deed
from .journal import write_log

#: The input that says that the page has asked.
CONFIRMED = "confirmed"
TEMPLATE = "admin/background_task/confirm_action.html"
#: How many warnings one message may become.
MOST_WARNINGS = 20


def carry_out(
    deed: Deed,
    modeladmin: admin.ModelAdmin[Any],
    request: HttpRequest | None,
    queryset: QuerySet[Any],
    *,
    back: str = "",
) -> HttpResponse | None:
    """Do something to all rows of a queryset, write the admin log, and say what became of them.

    Args:
        deed: What to do.
        modeladmin: Whose list it is.
        request: What was posted. Code may call an action without one, as ever; then nobody is
            asked, nobody is told, and nothing is logged.
        queryset: The rows, however many.
        back: Where somebody goes who would rather not; by default to the list as it was.

    Returns:
        The page that asks; None once it is done.
    """
    answers: dict[str, Any] = {}
    if request is not None and deed.consequence:
        is_confirmed = CONFIRMED in request.POST
        form = (deed.question or forms.Form)(request.POST if is_confirmed else None)
        if not is_confirmed or not form.is_valid():
            return _page(deed, modeladmin, request, queryset, form, back or request.get_full_path())
        answers = form.cleaned_data
    counts: Counter[str] = Counter()
    warnings: list[str] = []
    for keys in batches(queryset):
        report = deed.do(keys, **answers)
        write_log(request, queryset.model, report.entries)
        counts.update(report.counts)
        warnings += report.warnings[: MOST_WARNINGS - len(warnings)]
    if request is not None:
        for warning in warnings:
            modeladmin.message_user(request, warning, messages.WARNING, fail_silently=True)
        said = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        modeladmin.message_user(request, f"{said or deed.nothing}.", fail_silently=True)
    return None


def _page(
    deed: Deed,
    modeladmin: admin.ModelAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[Any],
    form: forms.Form,
    back: str,
) -> HttpResponse:
    """Return the page that says what would be done to what, and asks.

    It posts to where it came from, so what was chosen is what was chosen there: the rows of one
    page by their keys, or all that the filters show.
    """
    chosen = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
    is_across = request.POST.get("select_across") == "1"
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": deed.title,
        "subtitle": None,
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "deed": deed,
        "form": form,
        "back": back,
        "chosen": chosen[:1] if is_across else chosen,  # Django's view wants at least one
        "select_across": int(is_across),
        "glance": glance(queryset),
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "confirmed_name": CONFIRMED,
        "has_crumb_list": django.VERSION >= (6, 1),
    }
    request.current_app = modeladmin.admin_site.name
    return TemplateResponse(request, TEMPLATE, context)
