"""Addresses of the example site."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from library import views as library
from trouble import views as trouble

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url="/static/library/icon.svg")),
    path("", library.index, name="index"),
    path("texts/", library.count_texts, name="texts"),
    path("pictures/", library.shrink_pictures, name="pictures"),
    path("start/<slug:work>/", library.start, name="start"),
    path("task/<uuid:uid>/", library.find_task, name="task"),
    path("trouble/", trouble.index, name="trouble"),
    path("trouble/<slug:name>/", trouble.make, name="make-trouble"),
    # Where the progress bars ask how their tasks stand.
    path("status/", include("background_task.status.urls")),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
