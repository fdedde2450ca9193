"""Tasks of the process, which no request owns."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_RUNNING: set[asyncio.Task[Any]] = set()
"""The event loop alone would let go of a task that nobody holds."""


def create_background_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that outlives the request it was started from and shares nothing with it."""
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)
    return task
