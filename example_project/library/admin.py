"""The library in the admin, beside the Tasks and Completed tasks that background_task registers."""

from django.contrib import admin

from library.models import Document, Picture, Report


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    """Documents with what the tasks found out about them."""

    list_display = ["title", "word_count", "rating", "rating_requests"]


@admin.register(Picture)
class PictureAdmin(admin.ModelAdmin):
    """Pictures and their thumbnails."""

    list_display = ["title", "image", "thumbnail"]


@admin.register(Report)
class ReportAdmin(admin.ModelAdmin):
    """Reports, newest last."""

    list_display = ["name", "written_at"]
