"""The view that a page asks again and again."""

from __future__ import annotations

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .standing import Standing, standing_of
from .token import ExpiredTokenError, WrongTokenError, read_token


@require_safe
@never_cache
def status(request: HttpRequest, token: str) -> JsonResponse:
    """Return how the task of a token stands, in JSON; nothing of its arguments and errors.

    A wrong token is answered by 404, one that is too old by 410; and nothing tells whether there is
    such a task.
    """
    try:
        grant = read_token(token)
    except WrongTokenError:
        return _sent({"error": "not found"}, code=404)
    except ExpiredTokenError:
        return _sent({"error": "expired"}, code=410)
    standing = standing_of(grant.uid, shows_result=grant.shows_result)
    shown = as_json(standing)
    if grant.shows_result:
        shown["result"] = standing.result
    try:
        return _sent(shown)
    except (TypeError, ValueError):  # JSON knows neither a model instance nor a NaN
        return _sent({**shown, "result": None})


def as_json(standing: Standing) -> dict[str, Any]:
    """Return how a task stands as the page gets it."""
    progress = standing.progress
    return {
        "status": standing.status,
        "is_finished": standing.is_finished,
        "fraction": standing.fraction,
        "text": standing.text,
        "progress": None
        if progress is None
        else {
            "done": progress.done,
            "total": progress.total,
            "fraction": progress.fraction,
            "message": progress.message,
        },
    }


def _sent(values: dict[str, Any], *, code: int = 200) -> JsonResponse:
    response = JsonResponse(
        values, encoder=DjangoJSONEncoder, status=code, json_dumps_params={"allow_nan": False}
    )
    # The address is a key: it is to go nowhere else, and nothing is to be kept of the answer.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return response
