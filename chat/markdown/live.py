"""Render a growing text: finished elements, and a tail that still changes."""

from __future__ import annotations

from chat.markdown.blocks import finished_block_ends
from chat.markdown.document import MAX_MARKDOWN_CHARS
from chat.markdown.incomplete import complete_syntax
from chat.markdown.parser import Definitions, link_definitions
from chat.markdown.plaintext import render_plain
from chat.markdown.renderer import render_block
from chat.markdown.sanitise import Html
from chat.text import clean_text


class LiveMarkdown:
    """Feed it pieces of text; then take the elements that are finished, and the tail.

    Finished elements do not change any more. Together with `final_tail` they are exactly `render` of the whole
    text, however it was divided into pieces.
    """

    def __init__(self) -> None:
        self.length = 0
        """Characters fed so far."""
        self._tail = ""
        self._pending_cr = ""
        """A CR at the end of the last piece: an LF may follow, and the two are one line end."""
        self._markdown_chars_left = MAX_MARKDOWN_CHARS
        self._definitions: Definitions = {}
        self._has_new_lines = False

    @classmethod
    def snapshot(cls, text: str) -> tuple[Html, Html]:
        """The finished part and the tail of a text that was just fed, as a reader from the start sees them."""
        live = cls()
        live.feed(text)
        return Html("".join(live.take_finished())), Html("".join(live.tail()))

    def feed(self, text: str) -> None:
        """Add the next piece of the text."""
        self.length += len(text)
        text = self._pending_cr + text
        complete = text.removesuffix("\r")
        self._pending_cr = text[len(complete) :]
        cleaned = clean_text(complete)
        self._tail += cleaned
        self._has_new_lines = self._has_new_lines or "\n" in cleaned

    def take_finished(self) -> list[Html]:
        """The top-level elements that were finished since the last call."""
        elements: list[Html] = []
        if not self._has_new_lines:
            return elements
        self._has_new_lines = False
        start = 0
        for end in finished_block_ends(self._tail[: self._markdown_chars_left]):
            block = self._tail[start:end]
            elements += render_block(block, self._definitions)
            self._definitions = link_definitions(block, self._definitions)
            start = end
        self._tail = self._tail[start:]
        self._markdown_chars_left -= start
        return elements

    def final_tail(self) -> tuple[Html, ...]:
        """The top-level elements of the unfinished rest, when no more text will come."""
        self._tail += clean_text(self._pending_cr)
        self._pending_cr = ""
        if len(self._tail) > self._markdown_chars_left:
            return (render_plain(self._tail),)
        return render_block(self._tail, self._definitions)

    @property
    def tail_length(self) -> int:
        """Characters that are not in finished elements."""
        return len(self._tail)

    def tail(self) -> tuple[Html, ...]:
        """The top-level elements of the unfinished rest for now. Incomplete syntax is closed or left out."""
        if len(self._tail) > self._markdown_chars_left:
            return (render_plain(self._tail),)
        return render_block(complete_syntax(self._tail), self._definitions, growing=True)
