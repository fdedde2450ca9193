"""Render a whole text, block by block, as `LiveMarkdown` does."""

from __future__ import annotations

from typing import Final

from chat.markdown.blocks import finished_block_ends
from chat.markdown.parser import Definitions, link_definitions
from chat.markdown.plaintext import render_plain
from chat.markdown.renderer import render_block
from chat.markdown.sanitise import Html
from chat.text import clean_text

MAX_MARKDOWN_CHARS: Final = 65_536
"""How much of a text is rendered as Markdown. The rest, from the start of a block, is shown as plain text."""


def render(text: str) -> Html:
    """A whole Markdown text as HTML."""
    text = clean_text(text)
    elements: list[Html] = []
    definitions: Definitions = {}
    start = 0
    for end in finished_block_ends(text[:MAX_MARKDOWN_CHARS]):
        elements += render_block(text[start:end], definitions)
        definitions = link_definitions(text[start:end], definitions)
        start = end
    rest = text[start:]
    elements += render_block(rest, definitions) if len(text) <= MAX_MARKDOWN_CHARS else [render_plain(rest)]
    return Html("".join(elements))
