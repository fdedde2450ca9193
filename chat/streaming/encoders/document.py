"""A whole page as one HTML document that grows with the answer, for browsers without our script. No protocol."""

from __future__ import annotations

from collections.abc import Sequence

from chat.events import LAST_EVENTS, Delta, LogEvent
from chat.markdown import LiveMarkdown
from chat.streaming.encoders.base import Encoder


class DocumentEncoder(Encoder):
    """`before` and `after_answer` are the page's markup around the answer."""

    content_type = "text/html; charset=utf-8"

    def __init__(self, before: str, after_answer: str) -> None:
        super().__init__()
        self._before = before
        self._after_answer = after_answer
        self._live = LiveMarkdown()

    def open(self) -> bytes:
        return self._before.encode()

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        self._live.feed("".join([event.text for event in events if isinstance(event, Delta)]))
        blocks = "".join(self._live.take_finished())
        if events and isinstance(events[-1], LAST_EVENTS):
            blocks += "".join((*self._live.final_tail(), self._after_answer))
        return blocks.encode()
