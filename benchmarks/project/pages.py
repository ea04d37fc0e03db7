"""The admin of the project under test, and how long its pages take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from django.contrib import admin
from django.urls import path, reverse

urlpatterns = [path("admin/", admin.site.urls)]


def measure(times: int) -> dict[str, float]:
    """Return the median seconds of each page."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", run_syncdb=True, verbosity=0)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="-"))
    found = {}
    for name, address in addresses():
        seconds = []
        for number in range(times + 3):
            began = time.perf_counter()
            answer = client.get(address)
            if number >= 3:  # before, templates are compiled and caches are filled
                seconds.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise SystemExit(f"{address} answers {answer.status_code}")
        found[name] = statistics.median(seconds)
    return found


def addresses() -> Iterator[tuple[str, str]]:
    """Yield a name and the address of each page."""
    from background_task.models import CompletedTask, Task

    for model in (Task, CompletedTask):
        kind, name = model._meta.model_name, str(model._meta.verbose_name)
        task_list = reverse(f"admin:background_task_{kind}_changelist")
        some = model.objects.order_by("-pk")[100]  # type: ignore[attr-defined]
        yield f"{name}s", task_list
        yield f"{name}s, failed ones", f"{task_list}?status=failed"
        yield f"{name}s, searched by id", f"{task_list}?q={some.uid}"
        yield f"{name}s, searched by argument", f"{task_list}?q=arg:nowhere"
        yield f"{name}, its page", reverse(f"admin:background_task_{kind}_change", args=[some.pk])
    for kind in ("worker", "schedule", "queue", "dashboard"):
        yield f"{kind}s", reverse(f"admin:background_task_{kind}_changelist")
