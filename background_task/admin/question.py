"""What is asked before an action is carried out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from ..exceptions import InvalidOptionError
from ..option import LARGEST_PRIORITY, MAX_QUEUE_CHARS, SMALLEST_PRIORITY, check_queue

#: As browsers write what was typed into an input of this type.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S"
#: Some databases know no year after 9999, in no time zone.
YEARS = range(1970, 9999)


class Question(forms.Form):
    """A form whose inputs name the help below them for those who cannot see it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs["aria-describedby"] = f"id_{name}_helptext"


class TimeQuestion(Question):
    """Asks when tasks are to be due."""

    run_at = forms.DateTimeField(
        label="New time",
        initial=timezone.now,
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": "1"}, format=MOMENT_FORMAT
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields[
            "run_at"
        ].help_text = f"In the time zone {zone}. A time that has passed means at once."

    def clean_run_at(self) -> datetime:
        """Refuse what not every database can hold."""
        run_at: datetime = self.cleaned_data["run_at"]
        if run_at.year not in YEARS:
            raise forms.ValidationError(
                f"The year {run_at.year} cannot be stored; use {YEARS[0]} to {YEARS[-1]}."
            )
        return run_at


class PriorityQuestion(Question):
    """Asks for a priority."""

    priority = forms.IntegerField(
        label="New priority",
        min_value=SMALLEST_PRIORITY,
        max_value=LARGEST_PRIORITY,
        initial=0,
        help_text="Which end is the more urgent one is up to BACKGROUND_TASK_PRIORITY_ORDERING.",
    )


class QueueQuestion(Question):
    """Asks for a queue."""

    queue = forms.CharField(
        label="New queue",
        required=False,
        max_length=MAX_QUEUE_CHARS,
        help_text="Empty is the unnamed queue. Make sure that a worker serves it.",
    )

    def clean_queue(self) -> str | None:
        """Refuse what cannot be stored; the unnamed queue is None."""
        try:
            return check_queue(self.cleaned_data["queue"] or None)
        except InvalidOptionError as error:
            raise forms.ValidationError(str(error)) from error
