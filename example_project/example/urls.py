"""Addresses of the example site."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import path

from library import views

urlpatterns = [
    path("", views.index, name="index"),
    path("start/<slug:work>/", views.start, name="start"),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
