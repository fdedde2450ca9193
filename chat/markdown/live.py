"""A text that grows: what of it is finished, and what the rest looks like for now."""

from __future__ import annotations

from chat.markdown.blocks import cuts
from chat.markdown.document import LONGEST
from chat.markdown.mend import mend
from chat.markdown.parser import Definitions, link_definitions
from chat.markdown.plaintext import render_plain
from chat.markdown.renderer import render_block
from chat.markdown.sanitise import Html
from chat.text import clean_text


class LiveMarkdown:
    """Feed it pieces, then ask for the blocks that became finished and for the tail.

    Finished blocks never change again, and all of them together with the rendering of
    what is left are `render()` of the whole. Both depend on the text alone, not on where it was cut.
    """

    def __init__(self) -> None:
        self.length = 0
        self._tail = ""
        self._half_line_end = ""
        self._room = LONGEST
        self._definitions: Definitions = {}

    @classmethod
    def snapshot(cls, text: str) -> tuple[Html, Html]:
        """Finished blocks and tail of `text`, as a viewer sees them who was there from the start."""
        live = cls()
        live.feed(text)
        return Html("".join(live.take_finished())), Html("".join(live.tail()))

    def feed(self, text: str) -> None:
        self.length += len(text)
        text = self._half_line_end + text
        whole = text.removesuffix("\r")
        self._half_line_end = text[len(whole) :]
        self._tail += clean_text(whole)

    def take_finished(self) -> list[Html]:
        """The top-level elements that became finished since the last call."""
        elements: list[Html] = []
        start = 0
        for cut in cuts(self._tail[: self._room]):
            block = self._tail[start:cut]
            elements += render_block(block, self._definitions)
            self._definitions = link_definitions(block, self._definitions)
            start = cut
        self._tail = self._tail[start:]
        self._room -= start
        return elements

    def rest(self) -> tuple[Html, ...]:
        """As `tail`, but as it will stay because no more text comes."""
        self._tail += clean_text(self._half_line_end)
        self._half_line_end = ""
        if len(self._tail) > self._room:
            return (render_plain(self._tail),)
        return render_block(self._tail, self._definitions)

    @property
    def tail_length(self) -> int:
        return len(self._tail)

    def tail(self) -> tuple[Html, ...]:
        """The top-level elements of what is not finished; half-written syntax is hidden or closed."""
        if len(self._tail) > self._room:
            return (render_plain(self._tail),)
        return render_block(mend(self._tail), self._definitions, growing=True)
