"""Two small things that happen to every request or response of the example site."""

from collections.abc import Callable

from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Let pages load nothing from elsewhere and nothing inline; background_task needs neither."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code < 400:  # Django's own pages for errors have inline styles
            response["Content-Security-Policy"] = POLICY
        return response

    return middleware


def log_in_everybody(get_response: GetResponse) -> GetResponse:
    """Make every visitor the administrator, for a demo on one's own machine. Never deploy this."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            administrator = get_user_model().objects.filter(is_superuser=True).first()
            if administrator is not None:
                login(request, administrator)
        return get_response(request)

    return middleware
