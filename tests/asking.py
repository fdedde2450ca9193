"""Asks the configured provider one question and keeps all that came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chat import errors, providers
from chat.events import Delta, ProviderEvent, Reasoning, StreamFinished, StreamOpened, Usage

T = TypeVar("T")


@dataclass
class Answer:
    events: list[ProviderEvent] = field(default_factory=list)
    error: errors.ProviderError | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Reasoning))

    @property
    def usage(self) -> Usage | None:
        return self._only(Usage)

    @property
    def finish(self) -> str | None:
        last = self._only(StreamFinished)
        assert last is None or self.events[-1] is last, "something came after the finish"
        return last.reason if last else None

    @property
    def opened(self) -> StreamOpened | None:
        return self._only(StreamOpened)

    def _only(self, kind: type[Any]) -> Any:
        found = [event for event in self.events if isinstance(event, kind)]
        assert len(found) <= 1, f"{len(found)} of {kind.__name__}"
        return found[0] if found else None


def request(question: str = "hello there", *, max_output_tokens: int = 4096, model: str = "m", safety: str = "") -> Any:
    turn = providers.Turn(role="user", content=question)
    return providers.CompletionRequest(
        model=model, turns=(turn,), max_output_tokens=max_output_tokens, safety_identifier=safety
    )


async def collect(asked: providers.CompletionRequest, answer: Answer | None = None) -> Answer:
    answer = answer or Answer()
    began = time.monotonic()
    try:
        async with aclosing(providers.stream_completion(asked)) as stream:
            async for events in stream:
                assert events, "an empty list was yielded"
                answer.events += events
    except errors.ProviderError as error:
        answer.error = error
    answer.seconds = time.monotonic() - began
    return answer


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Runs a coroutine function on a loop of its own, closing the clients after it."""

    async def and_close() -> T:
        try:
            return await work()
        finally:
            await providers.close()

    return asyncio.run(and_close())


def ask(question: str = "hello there", **more: Any) -> Answer:
    return run(lambda: collect(request(question, **more)))
