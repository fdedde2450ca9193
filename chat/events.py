"""Events of a generation: what the provider sends, and what the event log holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

FinishReason = Literal["stop", "length", "content_filter", "refusal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """First event of every log."""

    message_id: str
    model: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasoning:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one generation; `completion_tokens` includes `reasoning_tokens`. Not `exact`: estimated."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    exact: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamOpened:
    """The provider answered with success headers. Not in the log."""

    request_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFinished:
    """The provider's own end of its stream. Not in the log."""

    reason: FinishReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """Last event of an answer that is complete, truncated, filtered, refused or stopped."""

    status: str
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Last event of an answer that was interrupted (with some text) or failed (without).

    `message` is a sentence of ours, safe to show; `retry_after` is in seconds.
    """

    status: str
    code: str
    message: str
    retry_after: int | None = None


ProviderEvent = StreamOpened | Delta | Reasoning | Usage | StreamFinished
LogEvent = Started | Delta | Reasoning | Finished | Failed
LAST_EVENTS: Final = (Finished, Failed)


def is_last(event: LogEvent) -> bool:
    """Whether nothing may follow it in the log."""
    return isinstance(event, LAST_EVENTS)
