"""Notices what a person would not see, and what no page may do."""

import re


class Watch:
    """Collects the problems of all pages of a test, which fails with them at its end."""

    def __init__(self, site):
        self._site = site
        self._allowed = []
        self._problems = []
        self._known_errors = len(site.errors)

    def allow(self, pattern):
        """Expect problems that match, such as `403 .Forbidden` where the test asks for that."""
        self._allowed.append(re.compile(pattern))

    def follow(self, context):
        """Watch every page of a browser context, popups too."""
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._add(f"page error: {error.error}"))
        context.on("request", self._see_request)
        context.on("dialog", self._dismiss)

    def problems(self):
        """What went wrong so far and was not expected."""
        return [
            problem
            for problem in [*self._problems, *self._site.errors[self._known_errors :]]
            if not any(pattern.search(problem) for pattern in self._allowed)
        ]

    def _hear(self, message):
        # Chromium reports violations of the Content-Security-Policy and bad answers as errors.
        if message.type in ("error", "assert"):
            self._add(f"console: {message.text} ({message.location.get('url')})")

    def _see_request(self, request):
        if not request.url.startswith((f"{self._site.url}/", "data:", "blob:")):
            self._add(f"request to another host: {request.url}")

    def _dismiss(self, dialog):
        self._add(f"{dialog.type} dialog: {dialog.message}")
        dialog.dismiss()

    def _add(self, problem):
        self._problems.append(problem)
