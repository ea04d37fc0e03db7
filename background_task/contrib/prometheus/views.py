"""The metrics from a view of the site.

``metrics`` asks nobody who they are: wrap it in a decorator of your own, or take ``metrics_view``,
which wants a token.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from ...exceptions import InvalidOptionError
from .metrics import make_registry

PERMISSION = "background_task.view_dashboard"
SHORTEST_TOKEN = 16


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics, to anybody."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(make_registry()), content_type=content_type)


def metrics_view(*, token: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that wants ``Authorization: Bearer TOKEN``, which Prometheus can send.

    Args:
        token: Any text of at least 16 characters that nobody can guess.

    Raises:
        InvalidOptionError: It is too short.
    """
    if len(token) < SHORTEST_TOKEN:
        raise InvalidOptionError(
            f"the token of the metrics has {len(token)} characters, which can be guessed; use "
            f"{SHORTEST_TOKEN} or more, such as those of secrets.token_urlsafe()"
        )

    def view(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("Authorization", "")
        if not constant_time_compare(given, f"Bearer {token}"):
            response = HttpResponse("The token of the metrics is missing or wrong.\n", status=401)
            response["WWW-Authenticate"] = "Bearer"
            response["Content-Type"] = "text/plain; charset=utf-8"
            return response
        return metrics(request)

    return view


def for_staff(request: HttpRequest) -> HttpResponse:
    """Return the metrics to who may see the dashboard."""
    user = getattr(request, "user", None)
    if user is None or not user.has_perm(PERMISSION):
        return HttpResponse(
            f"This needs the permission {PERMISSION}; for Prometheus, use metrics_view(token=...) "
            "of background_task.contrib.prometheus.views.\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    return metrics(request)
