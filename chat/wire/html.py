"""The browser's protocol: unnamed SSE messages that hold `<hx-partial>` elements.

The page has `<div id="…-done">` and `<div id="…-tail">`. Where nothing is shown yet, both are
filled; from then on the top-level elements in the tail are changed one by one, and
mostly by putting text at the end of the last one, so that little is sent twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from chat.events import Delta, LogEvent, Reasoning
from chat.markdown import LiveMarkdown
from chat.wire import sse

# A frame with less than this waits for the next one, once.
_SMALL: Final = 48
_CLOSING_TAGS = re.compile(r"(?:</[a-z0-9]+>)+\Z")
_TAG = re.compile(r"<(/?)([a-z0-9]+)")
_VOID: Final = {"br", "hr"}


class HtmlEncoder:
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, dom_id: str, shown: int | None) -> None:
        """`shown` is the number of characters the page shows already; None asks for a snapshot."""
        self._id = dom_id
        self._live = LiveMarkdown()
        self._skip = shown or 0
        self._snapshot = shown is None
        self._text = ""
        self._shown: tuple[str, ...] = ()
        self._sent = shown or 0
        self._reasoning = ""
        self._reasoning_shown = False
        self._held = False

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        """Events in order from the start of the log. Without events, sends what was held back."""
        self._take(events)
        if events and self._is_small():
            self._held = True
            return b""
        self._held = False
        partials = [*self._reasoning_partials(), *self._text_partials()]
        return sse.event("".join(partials), id=str(self._sent)) if partials else b""

    def finish(self, article_html: str, extra_html: str = "") -> bytes:
        """The final article in place of the live one, other partials, then the closing event."""
        article = _partial(f"#{self._id}", "outerMorph", article_html)
        return sse.event(article + extra_html, id=str(self._sent)) + self.closing()

    def closing(self) -> bytes:
        return sse.event("", name="done")

    def _take(self, events: Sequence[LogEvent]) -> None:
        for event in events:
            if isinstance(event, Delta):
                self._text += event.text
            elif isinstance(event, Reasoning):
                self._reasoning += event.text
        if self._skip and len(self._text) >= self._skip:
            self._live.feed(self._text[: self._skip])
            self._live.take_finished()
            self._shown = self._live.tail()
            self._text = self._text[self._skip :]
            self._skip = 0
        if not self._skip:
            self._live.feed(self._text)
            self._text = ""

    def _is_small(self) -> bool:
        waiting = self._live.length - self._sent + len(self._reasoning)
        return waiting < _SMALL and not self._held and self._sent > 0

    def _reasoning_partials(self) -> Iterator[str]:
        if self._reasoning:
            swap = "append" if self._reasoning_shown else "innerMorph"
            yield _partial(f"#{self._id}-reasoning", swap, escape(self._reasoning, quote=False))
            self._reasoning, self._reasoning_shown = "", True

    def _text_partials(self) -> Iterator[str]:
        if self._live.length <= self._sent and not self._snapshot:
            return
        done, tail = self._live.take_finished(), self._live.tail()
        self._sent = self._live.length
        if self._snapshot:
            self._snapshot = False
            yield _partial(f"#{self._id}-done", "innerMorph", "".join(done))
            yield _partial(f"#{self._id}-tail", "innerMorph", "".join(tail))
        else:
            yield from self._changes(self._shown, (*done, *tail))
        self._shown = tail

    def _changes(self, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[str]:
        """Old elements become new ones from the first to the last; then some are added or taken away."""
        tail = f"#{self._id}-tail"
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            if before != after:
                back = len(old) - index
                place = f"{tail}>:last-child" if back == 1 else f"{tail}>:nth-last-child({back})"
                if growth := _growth(before, after):
                    depth, markup = growth
                    yield _partial(place + ">:last-child" * depth, "append", markup)
                else:
                    yield _partial(place, "outerMorph", after)
        for _ in old[len(new) :]:
            yield _partial(f"{tail}>:last-child", "delete", "")
        if added := "".join(new[len(old) :]):
            yield _partial(tail, "append", added)


def _partial(target: str, swap: str, markup: str) -> str:
    return f'<hx-partial hx-target="{target}" hx-swap="{swap}">{markup}</hx-partial>'


def _growth(old: str, new: str) -> tuple[int, str] | None:
    """Where `new` is `old` with more at the end of its last, its last's last … child: how deep, and what."""
    closers = re.findall(r"</[a-z0-9]+>", match[0]) if (match := _CLOSING_TAGS.search(old)) else []
    for depth in range(len(closers) - 1, -1, -1):
        closing = "".join(closers[len(closers) - 1 - depth :])
        opening = old.removesuffix(closing)
        if new.startswith(opening) and new.endswith(closing) and len(new) >= len(old):
            added = new[len(opening) : len(new) - len(closing)]
            if _is_balanced(added):
                return depth, added
    return None


def _is_balanced(markup: str) -> bool:
    open_tags: list[str] = []
    for slash, name in _TAG.findall(markup):
        if not slash:
            if name not in _VOID:
                open_tags.append(name)
        elif not open_tags or open_tags.pop() != name:
            return False
    return not open_tags
