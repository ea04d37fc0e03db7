"""What the live site of the browser tests serves."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("status/", include("background_task.status.urls")),
    # Browsers ask for it, and would complain that it is missing.
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
