"""A timer for those who put it off again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

MARGIN: Final = 0.001
"""Seconds. A timer of uvloop's counts in milliseconds, and would ring up to half a one too early."""


class ResettableTimer:
    """Calls `ring` once its time has come, unless it was put off meanwhile.

    Putting it off costs next to nothing: the loop's own timer is set anew only where it
    would ring too late. (No `TimerHandle.when`: uvloop's handle of a timer that is due has none.)
    """

    __slots__ = ("_at", "_handle", "_loop", "_ring", "_rings_at")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._at = self._rings_at = 0.0
        self._handle: asyncio.Handle | None = None

    def set(self, at: float) -> None:
        """In the loop's time."""
        self._at = at
        if self._handle is None or at < self._rings_at:
            self._start()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _start(self) -> None:
        self.stop()
        self._rings_at = self._at
        self._handle = self._loop.call_at(self._at + MARGIN, self._on_time)

    def _on_time(self) -> None:
        self._handle = None
        if self._loop.time() < self._at:
            self._start()
        else:
            self._ring()
