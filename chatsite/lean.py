"""Django's handler, holding neither a thread nor a database connection longer than it needs one."""

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
from chatsite.on_loop import ON_LOOP

_request_tasks: ContextVar[set[asyncio.Task[Any]]] = ContextVar("request_tasks")


def _note_task() -> None:
    if task := asyncio.current_task():
        _request_tasks.get().add(task)


class LeanHandler(ASGIHandler):
    """Gives a request's thread and database connection back before its body streams.

    Django keeps both until the response is sent: an open stream would hold an OS
    thread and a connection for minutes.
    """

    def __init__(self) -> None:
        super().__init__()
        # They would tidy a thread that no request uses, at the price of two hops for each request.
        # `chat.infra.database_threads` tidies those that are used; the caches have nothing to close.
        signals.request_started.disconnect(reset_queries)
        signals.request_started.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_caches)

    def load_middleware(self, is_async: bool = False) -> None:
        """`MIDDLEWARE` itself keeps Django's names: the deployment checks look for them."""
        named = settings.MIDDLEWARE
        settings.MIDDLEWARE = [ON_LOOP.get(name, name) for name in named]
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = named

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        tasks: set[asyncio.Task[Any]] = set()
        _request_tasks.set(tasks)
        try:
            await self.handle(scope, receive, send)
        except asyncio.CancelledError:
            # Django 5.2 leaves the two inner tasks of a cancelled request running.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            tasks.clear()  # what keeps the context of a request must not keep its response too

    async def listen_for_disconnect(self, receive: Any) -> None:
        _note_task()
        await super().listen_for_disconnect(receive)

    async def run_get_response(self, request: Any) -> Any:
        _note_task()
        async with ThreadSensitiveContext(executor=REQUESTS):
            response = await super().run_get_response(request)
        if request.resolver_match:
            request.resolver_match.tried = None  # every route that was looked at before this one
        return response

    async def send_response(self, response: Any, send: Any) -> None:
        """An open stream does not keep the headers that were sent: they are a tenth of what it would hold."""

        async def sending(event: Mapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                await send({**event, "headers": event["headers"].copy()})
                event["headers"].clear()
                for name in list(response.headers):
                    del response.headers[name]
            else:
                await send(event)

        await super().send_response(response, sending if response.streaming else send)
