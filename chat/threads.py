"""The doorway from the event loop to short synchronous database functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_database(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `function` in the database thread and gives the connection back in the same hop.

    Inside a request that is the request's thread; in a detached task or a streaming
    body it is one thread shared by all, so that an open stream holds neither. A task
    that is cancelled meanwhile ends when `function` has returned.
    """
    cancelled = _cancelled()

    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    result = await sync_to_async(call)()
    if _cancelled() > cancelled:
        raise asyncio.CancelledError
    return result


def let_go() -> None:
    """Ends a task that was cancelled in somebody's hop to a thread before: asgiref swallows that."""
    if _cancelled():
        raise asyncio.CancelledError


def _cancelled() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0
