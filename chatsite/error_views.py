"""Error pages of the whole site: a page, a fragment for htmx, or the format of an API client."""

from __future__ import annotations

import sys

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.defaults import server_error as default_server_error

from chat import errors
from chat.api.views import error_response
from chat.infra.request_thread_pool import DatabaseThreadTimeout
from chat.web.decorators import is_htmx
from chatsite.server.error_logging import mark_as_logged


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400. Does not read the form: it may be the reason for this response."""
    if request.path_info.startswith("/api/"):
        return error_response(request, errors.BadRequest())
    return render(request, "400.html", status=400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a request without a valid CSRF token."""
    error = errors.Forbidden(_("Your session has expired. Reload the page; your text is kept."))
    if request.path_info.startswith("/api/"):
        return error_response(request, error)
    template = "chat/_refusal.html" if is_htmx(request) else "403_csrf.html"
    return render(request, template, {"error": error, "reload": True}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """503 if no database thread became free for the request, else 500.

    Django calls this while it handles the exception, and does not pass it.
    """
    error = sys.exception()
    if not isinstance(error, DatabaseThreadTimeout):
        return default_server_error(request)
    request.user = AnonymousUser()  # the page must not query the database
    if request.path_info.startswith("/api/"):
        response = error_response(request, error)
    else:
        template = "chat/_refusal.html" if is_htmx(request) else "503.html"
        response = render(request, template, {"error": error}, status=error.status)
    response.headers["Retry-After"] = str(error.retry_after)
    return mark_as_logged(response)
