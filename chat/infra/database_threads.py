"""Run short synchronous functions, most of them database work, in threads.

Two kinds of callers:

- **A request** (inside `request_thread`): asgiref's rule is that all thread-sensitive calls of one request run on one
  thread. `chat.infra.request_thread_pool` says which one, and when the request waits for it.
- **A background task or a streaming body**: one thread that all of these share (asgiref's default).

So an open stream holds neither a thread nor a database connection, and a process has at most `MAX_THREADS` + 1
connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections

from chat.infra.process import process
from chat.infra.request_thread_pool import RequestThread, RequestThreadPool

P = ParamSpec("P")
T = TypeVar("T")

_in_request: ContextVar[bool] = ContextVar("in_request", default=False)


async def run_in_db_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in the thread of this request, or in the shared thread of background tasks and streams.

    A task that is cancelled meanwhile ends when `function` has returned. Raises what `function` raises, and
    `DatabaseThreadTimeout`.
    """
    cancelled = _cancellations()
    result: T = await _run_in_thread(function, *args, **kwargs)
    if _cancellations() > cancelled:
        raise asyncio.CancelledError
    return result


def raise_if_cancelled() -> None:
    """Raise `CancelledError` where the task was cancelled during an earlier thread hop: asgiref drops that one."""
    if _cancellations():
        raise asyncio.CancelledError


@asynccontextmanager
async def request_thread(*, keep: bool = False) -> AsyncIterator[None]:
    """The thread-sensitive calls of this block run on one thread. Around the making of one response.

    With `keep` the thread serves nobody else from the first call to the end of the block. Tasks that were created in
    the block must not make thread-sensitive calls after it: asgiref raises `RuntimeError`.
    """
    thread = RequestThread(process.part(RequestThreadPool), keep=keep)
    token = _in_request.set(True)
    try:
        async with ThreadSensitiveContext(executor=thread):
            yield
    finally:
        _in_request.reset(token)
        thread.close()


def _run(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Outside of a request, check after each call whether the connection is still good."""
    try:
        return function(*args, **kwargs)
    finally:
        if not _in_request.get():
            close_old_connections()


_run_in_thread = sync_to_async(_run)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0
