"""What happens with files."""

from work import work

from background_task import background


@background(queue="media", max_concurrency=3)
def resize_photo(name, width):
    work(0.35, error=OSError("cannot identify image file"), share=0.01)


@background(queue="media")
def transcode_video(name):
    work(40, steps=80)


@background(queue="media")
def scan_upload(name):
    work(0.6)


@background
def write_sitemap():
    work(1, steps=5)
