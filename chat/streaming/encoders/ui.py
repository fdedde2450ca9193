"""The UI message stream of the AI SDK 5 to 7: one JSON object an event.

Clients reject a part of unknown type, so only parts that all three know are sent,
and silence is filled with comments.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import orjson

from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started
from chat.streaming import sse
from chat.streaming.encoders.base import Encoder
from chat.streaming.encoders.usage import usage_object
from chat.streaming.error_bodies import sentence

# Any other reason makes one client generation or another drop the message.
FINISH_REASONS = {"complete": "stop", "truncated": "length", "filtered": "content-filter"}


class UIMessageEncoder(Encoder):
    content_type = "text/event-stream; charset=utf-8"
    headers = {"x-vercel-ai-ui-message-stream": "v1"}
    heartbeat = sse.COMMENT_PING

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._kind = ""
        self._parts = 0
        self._delta_head = b""

    def open(self) -> bytes:
        return sse.COMMENT_PING

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        frames: list[bytes] = []
        for kind, run in groupby(events, key=type):
            if kind is Delta or kind is Reasoning:
                text = "".join([event.text for event in run])  # type: ignore[union-attr]
                self._text("text" if kind is Delta else "reasoning", text, frames)
            else:
                for event in run:
                    self._encode_one(event, frames)
        return b"".join(frames)

    def _encode_one(self, event: LogEvent, frames: list[bytes]) -> None:
        if isinstance(event, Started):
            metadata = {"model": event.model}
            frames.append(_part({"type": "start", "messageId": event.message_id, "messageMetadata": metadata}))
            frames.append(_part({"type": "start-step"}))
        elif isinstance(event, Finished):
            self._close_part(frames)
            frames.append(_finish(event))
        elif isinstance(event, Failed):
            frames.append(_failure(event))

    def _text(self, kind: str, text: str, frames: list[bytes]) -> None:
        if not text:
            return
        if kind != self._kind:
            self._close_part(frames)
            self._open_part(kind, frames)
        frames.append(b"%b%b}\n\n" % (self._delta_head, orjson.dumps(text)))

    def _open_part(self, kind: str, frames: list[bytes]) -> None:
        self._kind = kind
        self._parts += 1
        self._delta_head = b'data: {"type":"%b-delta","id":"p%d","delta":' % (kind.encode(), self._parts)
        frames.append(_part({"type": f"{kind}-start", "id": f"p{self._parts}"}))

    def _close_part(self, frames: list[bytes]) -> None:
        if self._kind:
            frames.append(_part({"type": f"{self._kind}-end", "id": f"p{self._parts}"}))
            self._kind = ""


def _part(value: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(value)


def _finish(event: Finished) -> bytes:
    metadata: dict[str, object] = {"status": event.status}
    if event.status == "stopped":
        metadata["stopped"] = True
    if event.usage:
        metadata["usage"] = usage_object(event.usage)
    reason = FINISH_REASONS.get(event.status, "other")
    return (
        _part({"type": "finish-step"})
        + _part({"type": "finish", "finishReason": reason, "messageMetadata": metadata})
        + b"data: [DONE]\n\n"
    )


def _failure(event: Failed) -> bytes:
    """Nothing may follow an error part."""
    wait = b""
    if event.retry_after is not None:
        wait = _part({"type": "data-ratelimit", "data": {"retryAfter": event.retry_after}, "transient": True})
    return wait + _part({"type": "error", "errorText": sentence(event.message, event.retry_after)})
