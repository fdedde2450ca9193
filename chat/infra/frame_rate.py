"""How often answers are passed on: more slowly while the process is nearly out of time.

A frame costs about the same whether it carries two words or ten. So a process near the
limit of its core sends fewer, fuller frames, every stream alike, instead of falling behind.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

EVERY: Final = 0.5
BUSY: Final = 0.85
CALM: Final = 0.72
STEP: Final = 1.25
SLOWEST: Final = 5.0

_stretch = 1.0


def scaled(seconds: float) -> float:
    return seconds * _stretch


def adjust(share: float) -> None:
    """Takes note of the share of a moment in which the process was at work."""
    global _stretch
    if share > BUSY:
        _stretch = min(_stretch * STEP, SLOWEST)
    elif share * _stretch < BUSY:  # all frames together cost no more than that at the usual pace
        _stretch = 1.0
    elif share < CALM:
        _stretch = max(_stretch / STEP, 1.0)


async def monitor() -> None:
    """Watches this process, for ever. Its threads share one core, as the interpreter has one lock."""
    while True:
        worked, began = time.process_time(), time.monotonic()
        await asyncio.sleep(EVERY)
        adjust((time.process_time() - worked) / (time.monotonic() - began))
