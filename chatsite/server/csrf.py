"""Skip Django's CSRF check for one request."""

from __future__ import annotations

from django.http import HttpRequest


def skip_csrf_check(request: HttpRequest) -> None:
    """Make `CsrfViewMiddleware` accept the request. Only for requests that no session cookie authenticates."""
    # Private, read in Django 5.2.19 and 6.1.3: CsrfViewMiddleware.process_view returns at once where this is set.
    request.csrf_processing_done = True  # type: ignore[attr-defined]
