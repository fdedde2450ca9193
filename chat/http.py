"""What requests of this site look like."""

from __future__ import annotations

from django.http import HttpRequest

from chat.models import User


class PersonRequest(HttpRequest):
    """A request whose person is known."""

    person: User


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
