"""Plain text, as `StreamingTextResponse` of the AI SDK 2 sends it."""

from __future__ import annotations

from collections.abc import Sequence

from chat.events import Delta, LogEvent

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


class TextEncoder:
    content_type = "text/plain; charset=utf-8"
    headers = {"X-Experimental-Stream-Data": "false"}
    heartbeat = b""
    breaks_on_failure = True

    def __init__(self) -> None:
        self._begun = False

    def open(self) -> bytes:
        return b""

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        text = "".join([event.text for event in events if isinstance(event, Delta)])
        if text and not self._begun:
            self._begun = True
            if text[0] == BOM:
                # Decoders take the first one of a body away.
                text = BOM + text
        return text.encode()
