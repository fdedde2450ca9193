"""The data stream protocol of the AI SDK 2.2 to 4.x: `CODE:JSON` lines.

Only codes that every one of those clients parses: 0 text, 3 error, 8 annotations.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from chat.events import Delta, Failed, Finished, LogEvent, Started
from chat.streaming.encoders.base import Encoder
from chat.streaming.encoders.usage import usage_object
from chat.streaming.error_bodies import sentence


class DataEncoder(Encoder):
    content_type = "text/plain; charset=utf-8"
    headers = {"X-Experimental-Stream-Data": "true", "X-Vercel-AI-Data-Stream": "v1"}

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._annotation: dict[str, object] = {}
        self._has_text = False

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        """Whole lines only: the 2.2 client parses a network chunk only where it ends in a line end."""
        text = "".join([event.text for event in events if isinstance(event, Delta)])
        lines = []
        if text:
            self._has_text = True
            lines.append(_line(b"0", text))
        for event in events:
            if isinstance(event, Started):
                self._annotation = {"messageId": event.message_id, "model": event.model}
            elif isinstance(event, Finished):
                lines.append(self._end(event))
            elif isinstance(event, Failed):
                lines.append(self._failure(event))
        return b"".join(lines)

    def _end(self, event: Finished) -> bytes:
        self._annotation["status"] = event.status
        if event.usage:
            self._annotation["usage"] = usage_object(event.usage)
        return _line(b"8", [self._annotation])

    def _failure(self, event: Failed) -> bytes:
        # 4.x throws at code 3 and reads no further. 2.2 and 3.0 ignore it: only the text can tell them.
        message = sentence(event.message, event.retry_after)
        return _line(b"3", message) + _line(b"0", f"\n\n[{message}]" if self._has_text else f"[{message}]")


def _line(code: bytes, value: object) -> bytes:
    return b"%b:%b\n" % (code, orjson.dumps(value))
