"""How often text is passed on to readers: less often while the process is short of CPU.

A frame costs about the same whether it carries two words or ten. Near the limit of its core a process therefore sends
fewer, larger frames on every stream, instead of falling behind.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from chat.infra.process import process

CHECK_INTERVAL: Final = 0.5
"""Seconds."""
BUSY_SHARE: Final = 0.85
CALM_SHARE: Final = 0.72
STEP: Final = 1.25
MAX_FACTOR: Final = 5.0


class FrameRate:
    """`factor` is what the usual interval between frames is multiplied with."""

    def __init__(self) -> None:
        self.factor = 1.0

    def adjust(self, share: float) -> None:
        """`share` is the part of the last interval, 0 to 1, in which the process used its core."""
        if share > BUSY_SHARE:
            self.factor = min(self.factor * STEP, MAX_FACTOR)
        elif share * self.factor < BUSY_SHARE:  # the usual interval would not cost more than that
            self.factor = 1.0
        elif share < CALM_SHARE:
            self.factor = max(self.factor / STEP, 1.0)

    async def monitor(self) -> None:
        """Adjust the factor until cancelled. The interpreter lock makes the threads of a process share one core."""
        while True:
            cpu, began = time.process_time(), time.monotonic()
            await asyncio.sleep(CHECK_INTERVAL)
            self.adjust((time.process_time() - cpu) / (time.monotonic() - began))


def frame_rate() -> FrameRate:
    """The one of this process."""
    return process.part(FrameRate)
