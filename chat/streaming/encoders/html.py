"""The page's protocol: unnamed SSE messages that hold `<hx-partial>` elements.

The live article has, in this order, the element that holds the connection, one with the id `…-reasoning`, and in its
body `<div id="…-done">` and `<div id="…-tail">`, which hold what the page shows first. After that the top-level
elements in the tail are changed one by one, mostly by appending text to the last one, so that little is sent twice. No
script may add elements behind them or at the end of one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from chat.events import Delta, LogEvent, Reasoning
from chat.markdown import LiveMarkdown
from chat.streaming import sse
from chat.streaming.encoders.base import Encoder
from chat.streaming.html_edits import edits, end_of_content
from chat.text import clean_model_text

CLOSE: Final = sse.event("", name="done")
"""Tells a page that nothing follows; without it, it reconnects."""
INTERVAL: Final = 0.085
"""Seconds between two frames of a page."""
_MIN_FRAME: Final = 64
"""Characters. Less than this waits for the next frame: a frame costs about 100 bytes."""
_MAX_BYTES_PER_CHARACTER: Final = 3
"""Where more bytes were sent for a character shown, frames wait twice as long."""
_LONG_TAIL: Final = 8_000
"""Characters of a tail that cannot be rendered again for every frame."""
_VERY_LONG_TAIL: Final = 32_000
_TAIL: Final = "next [id$=tail]"
"""Relative to the connection's element: shorter than an id, and sent with every frame."""


class HtmlEncoder(Encoder):
    """`after` is the number of characters that the page shows already; None asks for a snapshot.

    The last event sends nothing: the page's final article follows through `finish`.
    """

    content_type = "text/event-stream; charset=utf-8"
    heartbeat = sse.COMMENT_PING
    interval = INTERVAL

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        super().__init__(message_id=message_id, after=after)
        self._id = f"m-{message_id}"
        self._live = LiveMarkdown()
        self._unseen = ""
        self._skip = self._sent = after or 0
        self._snapshot = after is None
        self._shown: tuple[str, ...] = ()
        self._finished: list[str] = []
        self._reasoning = ""
        self._reasoning_shown = False
        self._held = 0
        self._bytes = 0

    def open(self) -> bytes:
        return sse.COMMENT_PING

    def abort(self) -> bytes:
        return CLOSE

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        self._add(events)
        if events and self._is_small():
            self._held += 1
            return b""
        self._held = 0
        partials = [*self._reasoning_partials(), *self._text_partials()]
        if not partials:
            return b""
        frame = sse.event("".join(partials), id=str(self._sent))
        self._bytes += len(frame)
        return frame

    def finish(self, partials: str) -> bytes:
        """These partials, one of which replaces the live article with the final one, then the closing event.

        Where the body of the final article (`<div id="…-body">`) is what the page shows, the page keeps its own.
        """
        done, tail = self._live.take_finished(), self._live.final_tail()
        self._finished += done
        short = self._without_body(partials, "".join((*self._finished, *tail)))
        last = "".join((*self._show(done, tail), short)) if short else partials
        return sse.event(last, id=str(self._sent)) + CLOSE

    def _add(self, events: Sequence[LogEvent]) -> None:
        for event in events:
            if isinstance(event, Delta):
                self._unseen += event.text
            elif isinstance(event, Reasoning):
                self._reasoning += event.text
        if self._skip and len(self._unseen) >= self._skip:
            self._live.feed(self._unseen[: self._skip])
            self._finished += self._live.take_finished()
            self._shown = self._live.tail()
            self._unseen = self._unseen[self._skip :]
            self._skip = 0
        if not self._skip:
            self._live.feed(self._unseen)
            self._unseen = ""

    def _is_small(self) -> bool:
        """Whether to wait for more: a short piece for a frame or two, a long tail until it has grown by a fraction."""
        waiting = self._live.length - self._sent + len(self._reasoning)
        tail = self._live.tail_length
        if tail > _LONG_TAIL:
            return waiting < tail // (8 if tail > _VERY_LONG_TAIL else 64)
        patience = 2 if self._bytes > _MAX_BYTES_PER_CHARACTER * self._sent else 1
        return self._sent > 0 and waiting < _MIN_FRAME * patience and self._held < patience

    def _reasoning_partials(self) -> Iterator[str]:
        if not self._reasoning:
            return
        text = escape(clean_model_text(self._reasoning), quote=False)
        swap = "append" if self._reasoning_shown else "innerMorph"
        self._reasoning, self._reasoning_shown = "", True
        yield _partial(f"#{self._id}-reasoning", swap, text)

    def _text_partials(self) -> Iterator[str]:
        if self._live.length > self._sent or self._snapshot:
            done = self._live.take_finished()
            self._finished += done
            yield from self._show(done, self._live.tail())

    def _without_body(self, partials: str, content: str) -> str:
        """The partials with an empty body that htmx does not morph; empty if the article's body is not `content`."""
        opens = partials.find(f'<div id="{self._id}-body"')
        if opens < 0 or self._unseen or not content:
            return ""
        closes = partials.index(">", opens)
        end = end_of_content(partials, closes + 1)
        if content not in partials[closes + 1 : end]:
            return ""
        return f"{partials[:closes]} hx-morph-skip-children>{partials[end:]}"

    def _show(self, done: Sequence[str], tail: tuple[str, ...]) -> Iterator[str]:
        if self._snapshot:
            yield _partial(f"#{self._id}-done", "innerMorph", "".join(done))
            yield _partial(f"#{self._id}-tail", "innerMorph", "".join(tail))
        else:
            yield from _changes(self._shown, (*done, *tail))
        self._snapshot = False
        self._shown = tail
        self._sent = self._live.length


def _changes(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[str]:
    """Change each old element into the new one in its place, then remove or append elements."""
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            back = len(old) - index
            place = f"{_TAIL}>:last-child" if back == 1 else f"{_TAIL}>:nth-last-child({back})"
            for edit in edits(before, after):
                yield _partial(place + ">:last-child" * edit.depth, edit.swap, edit.markup)
    for _ in old[len(new) :]:
        yield _partial(f"{_TAIL}>:last-child", "delete", "")
    if added := "".join(new[len(old) :]):
        yield _partial(_TAIL, "append", added)


def _partial(target: str, swap: str, markup: str) -> str:
    return f'<hx-partial hx-target="{target}" hx-swap="{swap}">{markup}</hx-partial>'
