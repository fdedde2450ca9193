"""What this process holds in memory: one owner for everything that lives longer than a request.

A part is an object such as the limiter, the event log or the runner of answers. It is created when it is first
used and closed when the process stops. Nothing else keeps state at module level.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Process:
    """Parts by the class or function that creates them. `part` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._parts: dict[Callable[[], Any], Any] = {}
        self._loop_parts: dict[asyncio.AbstractEventLoop, dict[Callable[[], Any], Any]] = {}

    def part(self, create: Callable[[], T]) -> T:
        """The one part of this kind in the process."""
        with self._lock:
            if create not in self._parts:
                self._parts[create] = create()
            part: T = self._parts[create]
            return part

    def loop_part(self, create: Callable[[], T]) -> T:
        """The one part of this kind on the running event loop. Raises `RuntimeError` where none runs."""
        loop = asyncio.get_running_loop()
        if (parts := self._loop_parts.get(loop)) is None:
            for ended in [each for each in self._loop_parts if each.is_closed()]:
                del self._loop_parts[ended]
            parts = self._loop_parts[loop] = {}
        if create not in parts:
            parts[create] = create()
        part: T = parts[create]
        return part

    def loop_parts_of(self, create: Callable[[], T]) -> list[T]:
        """The parts of this kind on all event loops, for code that runs after its loop has ended."""
        return [parts[create] for parts in list(self._loop_parts.values()) if create in parts]

    def forget(self) -> None:
        """Drop the parts that belong to no event loop, so that changed settings take effect. For tests."""
        with self._lock:
            self._parts.clear()

    async def close(self) -> None:
        """Close the parts of the running event loop, the newest first; those without `close` are dropped."""
        parts = self._loop_parts.pop(asyncio.get_running_loop(), {})
        for part in reversed(list(parts.values())):
            if close := getattr(part, "close", None):
                await close()


process = Process()
