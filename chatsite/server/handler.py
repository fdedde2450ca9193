"""Django's request handler, holding neither a thread nor a database connection longer than it needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections, reset_queries
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from chat.infra.database_threads import request_thread
from chatsite.server.async_middleware import ASYNC_MIDDLEWARE

_request_tasks: ContextVar[set[asyncio.Task[Any]]] = ContextVar("request_tasks")


class RequestHandler(ASGIHandler):
    """Gives a request's thread and database connection back before its body streams.

    Django keeps both until the response is sent, so an open stream would hold a thread and a connection for minutes.

    Private, read in Django 5.2.19 and 6.1.3: all methods that are overridden here, and that `handle` calls
    `listen_for_disconnect`, `run_get_response` and `send_response`.
    """

    _view_middleware: list[Any]
    _template_response_middleware: list[Any]
    _exception_middleware: list[Any]

    def __init__(self) -> None:
        super().__init__()
        # These receivers would run in a thread that no request uses, at the price of two thread hops for each
        # request. `chat.infra.request_thread_pool` does their work; the caches have nothing to close.
        signals.request_started.disconnect(reset_queries)
        signals.request_started.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_caches)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load our subclasses of Django's middleware. `MIDDLEWARE` keeps Django's names: system checks look for them.

        Private, read in Django 5.2.19 and 6.1.3: `load_middleware` takes the names from `settings.MIDDLEWARE`.
        """
        named = settings.MIDDLEWARE
        loaded = [ASYNC_MIDDLEWARE.get(name, name) for name in named]
        settings.MIDDLEWARE = loaded
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = named
        self._keeps_thread = self._has_hooks_in_threads() or any(_runs_hooks_in_threads(name) for name in loaded)

    def _has_hooks_in_threads(self) -> bool:
        """Whether `process_view`, `process_template_response` or `process_exception` of a middleware is synchronous.

        Private, read in Django 5.2.19 and 6.1.3: the three lists, and that `load_middleware` wraps synchronous hooks
        in `SyncToAsync`, except those for exceptions, which all run in a thread.
        """
        hooks = (*self._view_middleware, *self._template_response_middleware)
        return bool(self._exception_middleware) or any(isinstance(hook, SyncToAsync) for hook in hooks)

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
        async with request_thread(keep=self._keeps_thread):
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


def _runs_hooks_in_threads(name: str) -> bool:
    """Whether `process_request` and `process_response` of this middleware run as two calls in a thread.

    It may leave something in that thread from the first to the second, such as a transaction or a thread-local value,
    so no other request may use the thread between them. A middleware that is not async capable needs no such care:
    its one call stays in the thread until the inner response is there.

    Private, read in Django 5.2.19 and 6.1.3: `MiddlewareMixin.__acall__` calls each hook through `sync_to_async`.
    """
    middleware = import_string(name)
    return isinstance(middleware, type) and getattr(middleware, "__acall__", None) is MiddlewareMixin.__acall__


def _note_task() -> None:
    if task := asyncio.current_task():
        _request_tasks.get().add(task)
