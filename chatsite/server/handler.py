"""Django's request handler, holding neither a thread nor a database connection longer than it needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections, reset_queries

from chat.infra.database_threads import REQUESTS
from chatsite.server.async_middleware import ASYNC_MIDDLEWARE

_request_tasks: ContextVar[set[asyncio.Task[Any]]] = ContextVar("request_tasks")


class RequestHandler(ASGIHandler):
    """Gives a request's thread and database connection back before its body streams.

    Django keeps both until the response is sent, so an open stream would hold a thread and a connection for minutes.

    Private, read in Django 5.2.19 and 6.1.3: all methods that are overridden here, and that `handle` calls
    `listen_for_disconnect`, `run_get_response` and `send_response`.
    """

    def __init__(self) -> None:
        super().__init__()
        # These receivers would run in a thread that no request uses, at the price of two thread hops for each
        # request. `chat.infra.database_threads` does their work; the caches have nothing to close.
        signals.request_started.disconnect(reset_queries)
        signals.request_started.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_caches)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load our subclasses of Django's middleware. `MIDDLEWARE` keeps Django's names: system checks look for them.

        Private, read in Django 5.2.19 and 6.1.3: `load_middleware` reads `settings.MIDDLEWARE` and nothing else.
        """
        named = settings.MIDDLEWARE
        settings.MIDDLEWARE = [ASYNC_MIDDLEWARE.get(name, name) for name in named]
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = named

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one HTTP request, without the `ThreadSensitiveContext` that Django puts around the whole of it."""
        tasks: set[asyncio.Task[Any]] = set()
        _request_tasks.set(tasks)
        try:
            await self.handle(scope, receive, send)
        except asyncio.CancelledError:
            # Private, read in Django 5.2.19: `handle` leaves its two inner tasks running when it is cancelled.
            # In 6.1.3 it runs the response in this task and cancels the other one itself.
            inner = tasks - {asyncio.current_task()}
            for task in inner:
                task.cancel()
            await asyncio.gather(*inner, return_exceptions=True)
            raise
        finally:
            tasks.clear()  # whatever keeps this context alive must not keep the response alive

    async def listen_for_disconnect(self, receive: Any) -> None:
        _note_task()
        await super().listen_for_disconnect(receive)

    async def run_get_response(self, request: Any) -> Any:
        _note_task()
        async with ThreadSensitiveContext(executor=REQUESTS):
            response = await super().run_get_response(request)
        if request.resolver_match:
            # Private, read in Django 5.2.19 and 6.1.3: the list of all routes that were tried before the matching
            # one. Only the debug page reads it, and an open stream would hold it.
            request.resolver_match.tried = None
        return response

    async def send_response(self, response: Any, send: Any) -> None:
        """Drop the headers of a stream once they are sent: they are a tenth of the memory an open stream takes."""

        async def send_and_drop_headers(event: Mapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                await send({**event, "headers": event["headers"].copy()})
                event["headers"].clear()
                for name in list(response.headers):
                    del response.headers[name]
            else:
                await send(event)

        await super().send_response(response, send_and_drop_headers if response.streaming else send)


def _note_task() -> None:
    if task := asyncio.current_task():
        _request_tasks.get().add(task)
