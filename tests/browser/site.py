"""A live site in threads of this process, on the database of the test."""

import threading
import traceback
from contextlib import contextmanager

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.signals import got_request_exception
from django.test import override_settings
from django.test.testcases import LiveServerThread

from tests.waiting import wait_until

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'"
)


class Traffic:
    """The requests that are answered at the moment; the pages of the last test may still ask."""

    def __init__(self):
        self._lock = threading.Lock()
        self._count = 0

    @contextmanager
    def counted(self):
        with self._lock:
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1

    def is_over(self):
        with self._lock:
            return self._count == 0


traffic = Traffic()


def strict_policy(get_response):
    """Middleware: forbid whatever is inline or from another host, as a careful site does."""

    def middleware(request):
        with traffic.counted():
            response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return middleware


class LiveSite:
    """Where it is, and what went wrong in it."""

    def __init__(self, url):
        self.url = url
        self.errors = []

    def remember_error(self, request, **kwargs):
        self.errors.append(f"{request.method} {request.path}\n{traceback.format_exc()}")

    def wait_until_idle(self):
        """Wait for the last answer; it would read or write while the tables are emptied."""
        wait_until(traffic.is_over, message="the live site answers its last request")


@contextmanager
def live_site():
    """Serve the site until the block ends; this process has its settings as long."""
    middleware = [f"{__name__}.strict_policy", *settings.MIDDLEWARE]
    with override_settings(
        ROOT_URLCONF="tests.browser.urls", MIDDLEWARE=middleware, MEDIA_URL="/media/"
    ):
        server = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        site = LiveSite(f"http://127.0.0.1:{server.port}")
        got_request_exception.connect(site.remember_error)
        try:
            yield site
        finally:
            got_request_exception.disconnect(site.remember_error)
            server.terminate()
