"""How long to wait for a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from django.conf import settings

from chat.infra.timers import ResettableTimer

T = TypeVar("T")


class AnswerTimeouts:
    """The first-token, stall and whole-answer clocks of one answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stall = settings.CHAT_STALL_TIMEOUT
        start = self._loop.time()
        self._answer = start + settings.CHAT_ANSWER_TIMEOUT
        self._deadline = min(self._answer, start + settings.CHAT_FIRST_TOKEN_TIMEOUT)
        self._timer = ResettableTimer(self._ring)
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = False

    def restart(self) -> None:
        """Words came."""
        self._deadline = min(self._answer, self._loop.time() + self._stall)

    def at_most(self, seconds: float) -> None:
        """What matters has come; the rest may take this long, counted from the first call."""
        self._deadline = min(self._deadline, self._loop.time() + seconds)

    def leaves(self, seconds: float) -> bool:
        return self._loop.time() + seconds < self._deadline

    def answer_is_over(self) -> bool:
        return self._loop.time() >= self._answer

    def stop(self) -> None:
        self._timer.stop()

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`, which is cancelled with `TimeoutError` at the deadline."""
        task = cast("asyncio.Task[Any]", asyncio.current_task(self._loop))
        before = task.cancelling()
        self._timer.set(self._deadline)
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

    def _ring(self) -> None:
        if self._waiting is not None:
            self._expired = True
            self._waiting.cancel()
