"""Plain text, as `StreamingTextResponse` of the AI SDK 2 sends it."""

from __future__ import annotations

from collections.abc import Sequence

from chat.events import Delta, LogEvent
from chat.streaming.encoders.base import Encoder

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


class TextEncoder(Encoder):
    content_type = "text/plain; charset=utf-8"
    headers = {"X-Experimental-Stream-Data": "false"}
    breaks_on_failure = True

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._started = False

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        text = "".join([event.text for event in events if isinstance(event, Delta)])
        if text and not self._started:
            self._started = True
            if text[0] == BOM:
                # Decoders remove the first one of a body.
                text = BOM + text
        return text.encode()
