"""The doorway from the event loop to short synchronous database functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_database(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `function` in the database thread and gives the connection back in the same hop.

    Inside a request that is the request's thread; in a detached task or a streaming
    body it is one thread shared by all, so that an open stream holds neither.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(call)()
