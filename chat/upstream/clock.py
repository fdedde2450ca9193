"""How long to wait for a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from django.conf import settings

T = TypeVar("T")


class Clock:
    """The first-token, stall and whole-answer clocks of one answer.

    One timer serves the whole answer: where it goes off too early, because words came
    in between, it is set again. A timer for each read costs more than parsing what was read.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stall = settings.CHAT_STALL_TIMEOUT
        start = self._loop.time()
        self._answer = start + settings.CHAT_ANSWER_TIMEOUT
        self._deadline = min(self._answer, start + settings.CHAT_FIRST_TOKEN_TIMEOUT)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = False

    def restart(self) -> None:
        """Words came."""
        self._move(min(self._answer, self._loop.time() + self._stall))

    def at_most(self, seconds: float) -> None:
        """What matters has come; the rest may take this long, counted from the first call."""
        self._move(min(self._deadline, self._loop.time() + seconds))

    def leaves(self, seconds: float) -> bool:
        return self._loop.time() + seconds < self._deadline

    def answer_is_over(self) -> bool:
        return self._loop.time() >= self._answer

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`, which is cancelled with `TimeoutError` at the deadline."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        before = task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        self._waiting = task
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._expired and task.cancelling() - 1 <= before:
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None
            if self._expired:
                task.uncancel()

    def _move(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None and deadline < self._timer.when():
            self.stop()

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._deadline > self._loop.time():
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._expired = True
            self._waiting.cancel()
