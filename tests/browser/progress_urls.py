"""A page of a site with the progress bars of its tasks."""

from django.http import HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

from background_task.models import Task

PAGE = Template(
    """{% load background_task %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Exports</title></head><body><main>
<h1>Exports</h1>
{% for task in tasks %}{% task_progress task label=task.task_name %}{% endfor %}
</main></body></html>"""
)


def exports(request):
    return HttpResponse(
        PAGE.render(RequestContext(request, {"tasks": Task.objects.order_by("pk")}))
    )


urlpatterns = [
    path("exports/", exports),
    path("task-status/", include("background_task.status.urls")),
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
