"""Sends a request to the configured provider and collects the events of the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chat import errors, providers
from chat.events import Delta, ProviderEvent, Reasoning, StreamFinished, StreamOpened, Usage
from chat.infra.process import process

T = TypeVar("T")


@dataclass
class Answer:
    """The events of one answer, and the error that ended it. `seconds` is how long it took."""

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
        assert last is None or self.events[-1] is last, "there are events after the last one"
        return last.reason if last else None

    @property
    def opened(self) -> StreamOpened | None:
        return self._only(StreamOpened)

    @property
    def interrupted(self) -> bool:
        return type(self.error) is errors.ProviderInterrupted and self.finish is None

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
    started = time.monotonic()
    try:
        async with aclosing(providers.stream_completion(asked)) as stream:
            async for events in stream:
                assert events, "an empty list was yielded"
                answer.events += events
    except errors.ProviderError as error:
        answer.error = error
    answer.seconds = time.monotonic() - started
    return answer


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Runs a coroutine function on a new event loop and closes the clients of that loop."""

    async def run_and_close() -> T:
        try:
            return await work()
        finally:
            await process.close()

    return asyncio.run(run_and_close())


def ask(question: str = "hello there", **options: Any) -> Answer:
    return run(lambda: collect(request(question, **options)))
