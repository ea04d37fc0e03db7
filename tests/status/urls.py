from django.urls import include, path

urlpatterns = [path("task-status/", include("background_task.status.urls"))]
