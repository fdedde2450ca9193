"""A whole text, block by block: the same blocks that streaming shows one after the other."""

from __future__ import annotations

from typing import Final

from chat.markdown.blocks import cuts
from chat.markdown.parser import Definitions, link_definitions
from chat.markdown.plaintext import render_plain
from chat.markdown.renderer import render_block
from chat.markdown.sanitise import Html
from chat.text import clean_text

# Characters rendered as Markdown. What follows the last block within is shown as plain text.
LONGEST: Final = 65_536


def render(text: str) -> Html:
    text = clean_text(text)
    elements: list[Html] = []
    definitions: Definitions = {}
    start = 0
    for cut in cuts(text[:LONGEST]):
        elements += render_block(text[start:cut], definitions)
        definitions = link_definitions(text[start:cut], definitions)
        start = cut
    rest = text[start:]
    elements += render_block(rest, definitions) if len(text) <= LONGEST else [render_plain(rest)]
    return Html("".join(elements))
