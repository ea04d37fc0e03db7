"""The address of the status view; put it into the project's by ``include``."""

from __future__ import annotations

from django.urls import path

from .view import status

app_name = "background_task_status"

urlpatterns = [path("<str:token>/", status, name="status")]
