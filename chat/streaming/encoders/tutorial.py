"""The format of the tutorial's own route: `data:` events that end in `[DONE]`.

Two readers must be served. One is a conforming parser of server-sent events, which joins
the `data` lines of an event with LF. The other splits what arrives on LF and trims each
line, so an event may begin and end only inside a word.

`id` is the number of characters of the answer sent so far. Resuming by it needs no memory
of how the text was cut, and works on an answer read back from the database.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence

import orjson

from chat.events import Delta, Failed, Finished, LogEvent
from chat.streaming import sse
from chat.streaming.encoders.base import Encoder
from chat.streaming.error_bodies import problem

DONE = b"data: [DONE]\n\n"
_LONGEST_HELD = 512
_INSIDE_DONE = re.compile(r"(?<=\[DO)(?=NE\])")


class _TutorialEncoder(Encoder):
    content_type = "text/event-stream; charset=utf-8"
    # Without the blank line: once it has seen an id, httpx-sse takes one for an empty event.
    heartbeat = b": ping\n"

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._skip = self._sent = after or 0

    def open(self) -> bytes:
        return sse.COMMENT_PING

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        text = "".join([event.text for event in events if isinstance(event, Delta)])
        if self._skip:
            text = self._resumed(text)
        last = events[-1] if events else None
        if isinstance(last, Finished):
            return self._text(text, final=True) + self._end(last)
        if isinstance(last, Failed):
            return self._text(text, final=True) + _failure(last)
        return self._text(text) if text else b""

    def _resumed(self, text: str) -> str:
        skipped, text = text[: self._skip], text[self._skip :]
        self._skip -= len(skipped)
        return text

    @abstractmethod
    def _text(self, text: str, final: bool = False) -> bytes:
        """The events for a piece of text; with `final` nothing is held back."""

    def _end(self, event: Finished) -> bytes:
        return DONE


class TutorialEncoder(_TutorialEncoder):
    """Protocol `sse`: the text itself is the event's data."""

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._held = ""

    def _text(self, text: str, final: bool = False) -> bytes:
        text = self._held + text
        cut = len(text) if final else _cut(text)
        self._held = text[cut:]
        return b"".join([self._event(piece) for piece in _INSIDE_DONE.split(text[:cut]) if piece])

    def _event(self, piece: str) -> bytes:
        self._sent += len(piece)
        return sse.event(piece, id=str(self._sent))


class TutorialJSONEncoder(_TutorialEncoder):
    """Protocol `sse-json`: line ends and spaces are safe inside JSON, so nothing is held back."""

    def _text(self, text: str, final: bool = False) -> bytes:
        if not text:
            return b""
        self._sent += len(text)
        return b'id: %d\ndata: {"delta":%b}\n\n' % (self._sent, orjson.dumps(text))

    def _end(self, event: Finished) -> bytes:
        if event.status == "complete":
            return DONE
        return b"data: %b\n\n%b" % (orjson.dumps({"delta": "", "status": event.status}), DONE)


def _failure(event: Failed) -> bytes:
    members = problem(event.code, event.message, event.retry_after)
    return sse.event(orjson.dumps(members).decode(), name="error")


def _cut(text: str) -> int:
    """How much of `text` can go out: up to the last place between two characters of a word.

    A text without such a place for long goes out up to the last one that splits no CRLF.
    """
    for place in range(len(text) - 1, 0, -1):
        if not _is_blank(text[place]) and not _is_blank(text[place - 1]):
            return place
    if len(text) <= _LONGEST_HELD:
        return 0
    return len(text) - text.endswith("\r")


def _is_blank(character: str) -> bool:
    return character.isspace() or character == "\N{ZERO WIDTH NO-BREAK SPACE}"
