"""The metrics for people who may see the dashboard; to be included in the site's URLs."""

from __future__ import annotations

from django.urls import path

from .views import for_staff

urlpatterns = [path("", for_staff, name="background_task_metrics")]
