"""From our errors to responses: headers, and the decorator that each entry point applies with its own format."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chat import errors
from chat.limits import limiter

AsyncView = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
ErrorFormat = Callable[[HttpRequest, errors.ChatError], Awaitable[HttpResponseBase]]


def error_headers(error: errors.ChatError) -> dict[str, str]:
    """`Retry-After`, and for a limit of ours the `RateLimit` fields; `WWW-Authenticate` where nobody is logged in."""
    if isinstance(error, errors.LimitExceeded):
        return limiter.headers(error)
    if isinstance(error, errors.NotAuthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(error.retry_after)} if error.retry_after else {}


def errors_as(error_format: ErrorFormat) -> Callable[[AsyncView], AsyncView]:
    """Decorator: answer every `ChatError` of the view in this format. A database error is `DatabaseUnavailable`."""

    def decorate(view: AsyncView) -> AsyncView:
        @functools.wraps(view)
        async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return await view(request, *args, **kwargs)
            except errors.ChatError as raised:
                error = raised
            except DatabaseError:
                error = errors.DatabaseUnavailable()
                request.user = AnonymousUser()  # the error page must not query the database again
            response = await error_format(request, error)
            for name, value in error_headers(error).items():
                response.headers[name] = value
            return response

        return wrapped

    return decorate
