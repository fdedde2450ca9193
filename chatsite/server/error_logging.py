"""Keep Django from logging an error response with a traceback."""

from __future__ import annotations

from django.http import HttpResponse


def mark_as_logged(response: HttpResponse) -> HttpResponse:
    """For a response to a condition that has its own log line."""
    # Private, read in Django 5.2.19 and 6.1.3: django.utils.log.log_response returns at once where this is set.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
