"""The boxes that choose rows of a list."""

from __future__ import annotations

from typing import Any

import django
from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.utils.html import format_html
from django.utils.safestring import SafeString

ALL = format_html(
    '<input type="checkbox" id="action-toggle" aria-label="{}">',
    "Select all objects on this page for an action",
)


class CheckboxMixin:
    """Names them for people who do not see them, as Django itself does from 5.0 on."""

    if django.VERSION < (5, 0):

        @admin.display(description=ALL)
        def action_checkbox(self, obj: Any) -> SafeString:
            """Return the box of a row."""
            label = f"Select this object for an action - {obj}"
            box = forms.CheckboxInput(
                {"class": "action-select", "aria-label": label}, lambda _: False
            )
            return box.render(ACTION_CHECKBOX_NAME, str(obj.pk))
