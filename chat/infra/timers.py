"""A timer for deadlines that are moved again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

MARGIN: Final = 0.001
"""Seconds. uvloop's timers count in milliseconds and would fire up to half a one too early."""


class ResettableTimer:
    """Calls `callback` when the time that was set last has come.

    Moving the time later costs next to nothing: the loop's own timer is only replaced where it would fire too late.
    (`TimerHandle.when` is not used: uvloop's handle of a due timer has none.)
    """

    __slots__ = ("_at", "_callback", "_fires_at", "_handle", "_loop")

    def __init__(self, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._at = self._fires_at = 0.0
        self._handle: asyncio.Handle | None = None

    def set(self, at: float) -> None:
        """`at` is in the loop's time."""
        self._at = at
        if self._handle is None or at < self._fires_at:
            self._schedule()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self) -> None:
        self.stop()
        self._fires_at = self._at
        self._handle = self._loop.call_at(self._at + MARGIN, self._on_time)

    def _on_time(self) -> None:
        self._handle = None
        if self._loop.time() < self._at:
            self._schedule()
        else:
            self._callback()
