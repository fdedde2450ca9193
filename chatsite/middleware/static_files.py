"""Static files, served by WhiteNoise."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise on the event loop.

    WhiteNoise's middleware is synchronous, so Django would run every request behind it inside a thread: one thread
    for each request that waits, and no notice of clients that disconnect.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._call_async(request) if iscoroutinefunction(self) else super().__call__(request)

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        found: HttpResponseBase | Awaitable[HttpResponseBase] = super().__call__(request)
        return await found if inspect.isawaitable(found) else found
