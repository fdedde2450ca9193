"""The doorway from the event loop to short synchronous database functions, and the threads behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final, ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")

KEPT: Final = 8
"""Threads that wait for the next request, each with its connection. A rush gets more, for as long as it lasts."""

_idle: list[ThreadPoolExecutor] = []
_in_request: ContextVar[bool] = ContextVar("in_request", default=False)


async def in_database(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `function` in the database thread.

    Inside a request that is the request's thread; in a detached task or a streaming
    body it is one thread shared by all, so that an open stream holds neither a thread
    nor a connection. A task that is cancelled meanwhile ends when `function` has returned.
    """
    cancelled = _cancelled()
    call = function if _in_request.get() else _tidied(function)
    result = await sync_to_async(call)(*args, **kwargs)
    if _cancelled() > cancelled:
        raise asyncio.CancelledError
    return result


def _tidied(function: Callable[P, T]) -> Callable[P, T]:
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return call


@asynccontextmanager
async def request_thread() -> AsyncIterator[None]:
    """All synchronous code inside runs in one thread, borrowed from those that earlier requests left.

    A thread of its own for each request would cost its start, and a new database connection.
    """
    executor = _idle.pop() if _idle else ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")
    token = _in_request.set(True)
    try:
        async with ThreadSensitiveContext(executor=executor):
            yield
    finally:
        _in_request.reset(token)
        if len(_idle) < KEPT:
            executor.submit(close_old_connections)
            _idle.append(executor)
        else:
            _end(executor)


def _end(executor: ThreadPoolExecutor) -> None:
    executor.submit(connections.close_all)
    executor.shutdown(wait=False)


async def close() -> None:
    """Ends the threads that wait, and every connection."""
    while _idle:
        _end(_idle.pop())
    await sync_to_async(connections.close_all)()


def let_go() -> None:
    """Ends a task that was cancelled in somebody's hop to a thread before: asgiref swallows that."""
    if _cancelled():
        raise asyncio.CancelledError


def _cancelled() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0
