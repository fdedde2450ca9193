"""Background tasks that no request owns."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

from chat.infra.process import process

T = TypeVar("T")


class BackgroundTasks(set[asyncio.Task[Any]]):
    """The running ones. The event loop itself holds tasks only weakly."""


def create_background_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that outlives the request which starts it, with an empty context of its own."""
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    tasks = process.loop_part(BackgroundTasks)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
