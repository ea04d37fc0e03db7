"""Make the pictures of the manual: `python docs/pictures.py`.

Starts the shop of docs/picture_kit with workers that have much to do, and the example site; looks
at both with the Chromium of the system, and at the terminal; writes docs/pictures in two minutes.
Needs, in the Python that runs it, this project, docs/requirements-pictures.txt and
example_project/requirements.txt; and a Chromium on the machine. Names limit it to some pictures:

    python docs/pictures.py                      all
    python docs/pictures.py dashboard-light      this one
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
KIT = DOCS / "picture_kit"
FOLDER = DOCS / "pictures"
WIDTH, HEIGHT = 1280, 900
#: How long the shop is open before it is looked at: until some tasks have failed for good.
OPEN_SECONDS = 45
DEADLINE_SECONDS = 90
STOP_SECONDS = 60
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def main():
    wanted = parse_arguments()
    began = time.monotonic()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shop-") as folder, contextlib.ExitStack() as stack:
        # Tracebacks are in the pictures: there, the code is in a place of its own.
        Path(folder, "app").symlink_to(KIT)
        Path(folder, "lib").symlink_to(ROOT)
        shop = Shop(Path(folder), stack)
        example = Example(Path(folder, "example"), stack)
        shop.wait_until_lively()
        pages = {**shop.pages(), **example.pages()}
        terminals = shop.terminals()
        unknown = set(wanted) - {*pages, *terminals}
        if unknown:
            sys.exit(f"There are no pictures named {', '.join(sorted(unknown))}.")
        for name, draw in terminals.items():
            if not wanted or name in wanted:
                (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")
                tell(FOLDER / f"{name}.svg")
        with browser() as chromium:
            for name, shoot in pages.items():
                if not wanted or name in wanted:
                    shoot(chromium, FOLDER / f"{name}.png")
                    shrink(FOLDER / f"{name}.png")
                    tell(FOLDER / f"{name}.png")
    print(f"Done in {time.monotonic() - began:.0f} s.")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="pictures to make; all if none is named")
    return parser.parse_args().names


def tell(path):
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KiB", flush=True)


class Shop:
    """The busy shop: its site, and workers of which one is on a terminal."""

    def __init__(self, folder, stack):
        from terminal import Terminal

        self.began = time.monotonic()
        self.env = environment(
            DJANGO_SETTINGS_MODULE="settings",
            PICTURES_DATA_DIR=str(folder),
            PYTHONPATH=os.pathsep.join([str(folder / "app"), str(folder / "lib")]),
        )
        self.stack = stack
        os.environ.update(self.env)
        self.prepare()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        log = stack.enter_context((folder / "log").open("wb"))
        started(stack, [*self.manage("runserver"), "--noreload", str(self.port)], self.env, log)
        started(
            stack,
            [*self.manage("process_tasks"), "--processes", "2", "--threads", "5"],
            self.env,
            log,
        )
        self.worker = Terminal(
            [*self.manage("process_tasks"), "--threads", "4", "--exclude-queue", "media"],
            env=self.env,
            cwd=folder,
            lines=16,
        )
        stack.callback(stop, self.worker.process)

    def manage(self, command):
        return [sys.executable, "-m", "django", command]

    def prepare(self):
        """Make the tables, a week of history, an administrator, and work for a while."""
        import django

        django.setup()
        import history
        from billing.tasks import export_to_bookkeeping
        from django.contrib.auth import get_user_model
        from django.core.management import call_command
        from django.test import Client
        from django.utils import timezone
        from media.tasks import transcode_video
        from shop.tasks import send_newsletter

        from background_task import pause

        call_command("migrate", verbosity=0)
        history.make_up(timezone.now())
        client = Client()
        client.force_login(get_user_model().objects.create_superuser("admin", "", "admin"))
        self.session = client.cookies["sessionid"].value
        transcode_video.bulk([((f"film-{number}.mp4",), {}) for number in range(4)])
        export_to_bookkeeping("2026-10")
        send_newsletter.bulk([((user, 48), {}) for user in range(40)])
        pause(queue="newsletter")

    def wait_until_lively(self):
        """Wait until some tasks have failed for good, and remember one of them."""
        from background_task.models import CompletedTask

        failed = CompletedTask.objects.filter(
            task_name="billing.tasks.charge_card", failed_at__isnull=False
        )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() - self.began < OPEN_SECONDS or not failed.exists():
            if time.monotonic() > deadline:
                sys.exit("No task has failed; the workers said:\n" + self.worker.text())
            time.sleep(0.5)
        self.failed = failed.order_by("-pk").first().pk

    def pages(self):
        """Return how each picture of a page is taken."""
        admin = f"{self.url}/admin/background_task"
        return {
            "dashboard-light": self.page(f"{admin}/dashboard/", height=1400),
            "dashboard-dark": self.page(f"{admin}/dashboard/", height=1400, color_scheme="dark"),
            "task-list": self.page(f"{admin}/task/"),
            "failed-task": self.page(
                f"{admin}/completedtask/{self.failed}/change/", unfold="Traceback of attempt 3"
            ),
            "queues": self.page(f"{admin}/queue/", height=700),
        }

    def page(self, address, *, height=HEIGHT, color_scheme="light", unfold=None):
        def shoot(chromium, path):
            context = chromium.new_context(
                viewport={"width": WIDTH, "height": height}, color_scheme=color_scheme
            )
            context.add_cookies([{"name": "sessionid", "value": self.session, "url": self.url}])
            page = context.new_page()
            page.add_init_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
            page.goto(address)
            page.wait_for_load_state("networkidle")
            if unfold is not None:
                page.get_by_text(unfold).click()
            page.screenshot(path=path)
            context.close()

        return shoot

    def terminals(self):
        """Return how each picture of a terminal is drawn."""
        return {"worker": lambda: self.worker.picture("manage.py process_tasks"), "top": self.top}

    def top(self):
        """Let background_task_top draw itself; Textual does so when it is told to."""
        from terminal import Terminal, without_fonts

        with tempfile.TemporaryDirectory() as folder:
            env = {
                **self.env,
                "TEXTUAL_SCREENSHOT": "4",
                "TEXTUAL_SCREENSHOT_LOCATION": folder,
                "TEXTUAL_SCREENSHOT_FILENAME": "top.svg",
            }
            terminal = Terminal(self.manage("background_task_top"), env=env, cwd=folder, lines=34)
            picture = Path(folder, "top.svg")
            try:
                wait_for(lambda: is_whole(picture), "background_task_top draws itself")
                return without_fonts(picture.read_text(encoding="utf-8"))
            finally:
                stop(terminal.process)


class Example:
    """The example site as `demo.py --serve` starts it, with a visitor who presses buttons."""

    def __init__(self, folder, stack):
        folder.mkdir()
        log = folder / "log"
        demo = ROOT / "example_project" / "demo.py"
        options = ["--serve", "--no-venv", "--no-browser", "--port", "0", "--data-dir", str(folder)]
        with log.open("wb") as output:
            started(stack, [sys.executable, str(demo), *options], environment(), output)
        line = re.compile(r"http://127\.0\.0\.1:\d+/")
        wait_for(lambda: "Ctrl-C" in log.read_text(), "the example site does not start")
        self.url = line.search(log.read_text())[0]

    def pages(self):
        """Return how each picture is taken."""
        return {
            "example-site": self.site,
            "progress": self.progress,
            "example-trouble": self.trouble,
        }

    def site(self, chromium, path):
        page = self.visitor(chromium)
        page.get_by_label("baker").check()
        page.get_by_label("tide").check()
        page.get_by_role("button", name="Count the words").click()
        page.get_by_label("boat").check()
        page.get_by_label("sunset").check()
        page.get_by_role("button", name="Make thumbnails").click()
        page.wait_for_timeout(1500)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=path)
        page.context.close()

    def progress(self, chromium, path):
        page = self.visitor(chromium)
        for text in ("letters", "lighthouse"):
            page.get_by_label(text).first.check()
        page.get_by_role("button", name="Count the words").click()
        page.wait_for_timeout(2500)
        page.locator(".mine").screenshot(path=path)
        page.context.close()

    def trouble(self, chromium, path):
        page = self.visitor(chromium, color_scheme="dark")
        page.goto(f"{self.url}trouble/")
        for name in ("A flaky service", "A slow task", "A double click", "A crash"):
            page.get_by_role("button", name=name).click()
        page.wait_for_timeout(4000)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=path)
        page.context.close()

    def visitor(self, chromium, **options):
        context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, **options)
        page = context.new_page()
        page.goto(self.url)
        return page


def environment(**variables):
    """Return the environment of a process that finds this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


def started(stack, command, env, output):
    """Start a process that is stopped when the stack unwinds."""
    process = subprocess.Popen(
        command,
        cwd=tempfile.gettempdir(),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    stack.callback(stop, process)


def stop(process):
    """End a process, and let it end what it has started: some of that is in sessions of its own."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition, what):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Waited {DEADLINE_SECONDS} s: {what}")
        time.sleep(0.1)


def is_whole(picture):
    """Tell whether an SVG is there, and written to its end."""
    return picture.exists() and picture.read_text(encoding="utf-8").rstrip().endswith("</svg>")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextlib.contextmanager
def browser():
    """Yield the system's Chromium."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        sys.exit(f"There is no Chromium here ({', '.join(CHROMIUM)}).")
    # Chromium refuses to be root in its sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


def shrink(path):
    """Store a picture with 256 colours; a screenshot has few."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.path[:0] = [str(KIT), str(ROOT)]
    main()
