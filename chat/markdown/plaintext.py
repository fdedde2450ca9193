"""Text without Markdown: the fallback of the renderer, and one-line excerpts."""

from __future__ import annotations

from typing import Final

from chat.markdown.parser import parse
from chat.markdown.sanitise import Html, escape
from chat.text import clean_model_text

_WORDS: Final = ("Text", "Code", "Html", "InlineHtml")
_INLINE: Final = ("Emphasis", "Strong", "Strikethrough", "Link", "Image")


def render_plain(text: str) -> Html:
    """Escaped text; the style sheet keeps its white space."""
    return Html(f'<div class="plain" dir="auto">{escape(clean_model_text(text))}</div>')


def plain(text: str, limit: int) -> str:
    """Markdown as one line of at most `limit` characters, for titles and search results. Not escaped."""
    words: list[str] = []
    for event in parse(clean_model_text(text[: 4 * limit + 200])):
        if isinstance(event, str):
            words.append(" ")
            continue
        ((kind, value),) = event.items()
        if kind in _WORDS:
            words.append(value)
        elif kind == "End" and value not in _INLINE:
            words.append(" ")
    line = " ".join("".join(words).split())
    return line if len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"
