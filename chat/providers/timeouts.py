"""How long to wait for a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from django.conf import settings

from chat.infra.timers import ResettableTimer

T = TypeVar("T")


class AnswerTimeouts:
    """The deadline of one answer: the earliest of the first-token, stall and answer timeouts in the settings.

    Starts when it is created, on the running event loop. All times are in seconds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stall_timeout = settings.CHAT_STALL_TIMEOUT
        now = self._loop.time()
        self._answer_deadline = now + settings.CHAT_ANSWER_TIMEOUT
        self._deadline = min(self._answer_deadline, now + settings.CHAT_FIRST_TOKEN_TIMEOUT)
        self._timer = ResettableTimer(self._cancel_waiting_task)
        self._waiting_task: asyncio.Task[Any] | None = None
        self._expired = False

    def reset_stall(self) -> None:
        """Start the stall timeout again: text has arrived."""
        self._deadline = min(self._answer_deadline, self._loop.time() + self._stall_timeout)

    def limit_remaining(self, seconds: float) -> None:
        """Bring the deadline forward to `seconds` from now, if it is later."""
        self._deadline = min(self._deadline, self._loop.time() + seconds)

    def has_time_for(self, seconds: float) -> bool:
        """Tell whether the deadline is more than `seconds` away."""
        return self._loop.time() + seconds < self._deadline

    def answer_expired(self) -> bool:
        """Tell whether the timeout of the whole answer has passed."""
        return self._loop.time() >= self._answer_deadline

    def stop(self) -> None:
        """Cancel the timer."""
        self._timer.stop()

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Return the result of `awaitable`. At the deadline cancel it and raise `TimeoutError`.

        Like `asyncio.timeout`, but without a new timer for each of the many waits of a stream.
        """
        task = cast("asyncio.Task[Any]", asyncio.current_task(self._loop))
        cancelling_before = task.cancelling()
        self._timer.set(self._deadline)
        self._waiting_task = task
        try:
            return await awaitable
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task in the same turn of the event loop; that wins.
            if self._expired and task.cancelling() - 1 <= cancelling_before:
                raise TimeoutError from None
            raise
        finally:
            self._waiting_task = None
            if self._expired:
                task.uncancel()

    def _cancel_waiting_task(self) -> None:
        if self._waiting_task is not None:
            self._expired = True
            self._waiting_task.cancel()
