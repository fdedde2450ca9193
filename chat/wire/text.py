"""Plain text, as `StreamingTextResponse` of the AI SDK 2 sends it."""

from __future__ import annotations

from collections.abc import Sequence

from chat.events import Delta, LogEvent


class TextEncoder:
    content_type = "text/plain; charset=utf-8"
    headers = {"X-Experimental-Stream-Data": "false"}
    heartbeat = b""
    breaks_on_failure = True

    def open(self) -> bytes:
        return b""

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        return "".join([event.text for event in events if isinstance(event, Delta)]).encode()
