"""The doorway from the event loop to short synchronous database functions, and the threads behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

MOST: Final = 12
"""Threads that requests share. Each keeps its database connection, so a process has one more of those at most."""


async def run_in_db_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `function`, a transaction or less, in a database thread.

    Inside a request that is one of `REQUESTS`; in a detached task or a streaming body
    it is one thread shared by all. So an open stream holds neither a thread nor a
    connection. A task that is cancelled meanwhile ends when `function` has returned.
    """
    cancelled = _cancelled()
    result: T = await _hop(function, *args, **kwargs)
    if _cancelled() > cancelled:
        raise asyncio.CancelledError
    return result


def _tidy(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()


_hop = sync_to_async(_tidy)


class DatabaseThreads(ThreadPoolExecutor):
    """After each call its thread looks whether the connection it used is still good."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(_tidy, fn, *args, **kwargs)


# No call of a request counts on the thread of the one before: none leaves a transaction open.
# A thread of its own for each request would cost its start, and a new connection to the database.
REQUESTS: Final = DatabaseThreads(max_workers=MOST, thread_name_prefix="request")


def raise_if_cancelled() -> None:
    """Ends a task that was cancelled in somebody's hop to a thread before: asgiref swallows that."""
    if _cancelled():
        raise asyncio.CancelledError


def _cancelled() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0
