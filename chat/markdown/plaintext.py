"""Text without Markdown: as HTML, and as one-line excerpts."""

from __future__ import annotations

from typing import Final

from chat.markdown.parser import parse
from chat.markdown.sanitise import Html, clean, escape
from chat.text import clean_model_text

_TEXT_EVENTS: Final = ("Text", "Code", "Html", "InlineHtml")
_INLINE_TAGS: Final = ("Emphasis", "Strong", "Strikethrough", "Link", "Image")


def render_plain(text: str) -> Html:
    """The text with its line breaks and spaces, which the style sheet preserves."""
    return clean(f'<div class="plain" dir="auto">{escape(clean_model_text(text))}</div>')


def excerpt(text: str, limit: int) -> str:
    """The words of a Markdown text in one line of at most `limit` characters. Not HTML: it is not escaped."""
    pieces: list[str] = []
    for event in parse(clean_model_text(text[: 4 * limit + 200])):
        if isinstance(event, str):
            pieces.append(" ")
            continue
        ((kind, value),) = event.items()
        if kind in _TEXT_EVENTS:
            pieces.append(value)
        elif kind == "End" and value not in _INLINE_TAGS:
            pieces.append(" ")
    line = " ".join("".join(pieces).split())
    return line if len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"
