"""Error pages of the whole site: in the format of the JSON API, or as a page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from chat import errors
from chat.api.views import error_response
from chat.web.decorators import is_htmx


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Without the CSRF check of Django's own, which would read the unreadable form once more."""
    if request.path_info.startswith("/api/"):
        return error_response(request, errors.BadRequest())
    return render(request, "400.html", status=400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    error = errors.Forbidden(_("Your session has expired. Reload the page; your text is kept."))
    if request.path_info.startswith("/api/"):
        return error_response(request, error)
    template = "chat/_refusal.html" if is_htmx(request) else "403_csrf.html"
    return render(request, template, {"error": error, "reload": True}, status=403)
