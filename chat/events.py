"""The values that flow from the model to the viewers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "content_filter", "refusal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """First event of every log."""

    message_id: str
    model: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one generation; `completion_tokens` includes `reasoning_tokens`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    exact: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamOpened:
    """The provider answered with success headers; only upstream yields it."""

    request_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFinished:
    """The provider's own end; only upstream yields it."""

    reason: FinishReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """Last event of a log that ended in order: complete, truncated, filtered, refused or stopped."""

    status: str
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Last event of a log that broke: interrupted (some text) or failed (none).

    `message` is a sentence of ours, safe to show; `retry_after` is in seconds.
    """

    status: str
    code: str
    message: str
    retry_after: int | None = None


ProviderEvent = StreamOpened | Delta | Reasoning | Usage | StreamFinished
LogEvent = Started | Delta | Reasoning | Finished | Failed


def is_last(event: LogEvent) -> bool:
    return isinstance(event, Finished | Failed)
