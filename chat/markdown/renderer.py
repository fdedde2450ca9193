"""Render one block of Markdown as safe HTML."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from chat.markdown.code import LANGUAGES, highlight, language_of
from chat.markdown.links import LinkTarget, link_target
from chat.markdown.parser import Definitions, parse
from chat.markdown.plaintext import render_plain
from chat.markdown.sanitise import Html, clean, clean_growing_list, escape

logger = logging.getLogger(__name__)

MAX_DEPTH: Final = 20
MAX_EXPANSION: Final = 20
"""Characters of HTML for each character of Markdown; above this, and some more, a block is shown as plain text."""
_MAX_CACHED_CHARS: Final = 4_000

_TAGS: Final = {
    "Paragraph": ("<p", "</p>"),
    "HtmlBlock": ("<p", "</p>"),
    "Item": ("<li", "</li>"),
    "Emphasis": ("<em", "</em>"),
    "Strong": ("<strong", "</strong>"),
    "Strikethrough": ("<del", "</del>"),
    "TableHead": ("<thead><tr", "</tr></thead><tbody>"),
    "TableRow": ("<tr", "</tr>"),
}
_EMPTY_ELEMENTS: Final = {"SoftBreak": "\n", "HardBreak": "<br>", "Rule": "<hr>"}
_ALIGN: Final = {"None": "", "Left": ' align="left"', "Center": ' align="center"', "Right": ' align="right"'}


def render_block(source: str, definitions: Definitions, *, growing: bool = False) -> tuple[Html, ...]:
    """The top-level elements of `source`, each one sanitised.

    If the source is still `growing`, a code block at its end has no colours. If the output would be too large, or
    rendering fails, the source is shown as plain text.
    """
    if len(source) <= _MAX_CACHED_CHARS and not growing:
        return render_finished(source, tuple(definitions.items()))
    return _render(source, definitions, growing)


def _render(source: str, definitions: Definitions, growing: bool) -> tuple[Html, ...]:
    try:
        return tuple(_Renderer(source, definitions, growing).elements())
    except _OutputTooLarge:
        return (render_plain(source),)
    except Exception:
        logger.exception("Markdown of %d characters could not be rendered", len(source))
        return (render_plain(source),)


@lru_cache(maxsize=512)
def render_finished(source: str, definitions: tuple[tuple[str, tuple[str, str]], ...]) -> tuple[Html, ...]:
    """Every reader of an answer renders its finished blocks, and so does the page."""
    return _render(source, dict(definitions), False)


class _OutputTooLarge(Exception):
    """The HTML is much larger than the Markdown."""


class _Renderer:
    """Turns parser events into markup. Raw HTML becomes text; an image becomes a link."""

    def __init__(self, source: str, definitions: Definitions, growing: bool) -> None:
        self._events = parse(source, definitions)
        self._growing = growing
        self._chars_left = MAX_EXPANSION * len(source) + 2000
        self._out: list[str] = []
        """Pieces of markup of the current top-level element."""
        self._item_ends: list[int] = []
        """Where the items of the current element end, if it is a list that grows: indices in `_out`."""
        self._elements: list[Html] = []
        self._closers: list[str | Callable[[], None]] = []
        """For every open element, its closing tag or a function that writes its end."""
        self._words: list[str] = []
        """The text of the current top-level element."""
        self._open_links = 0
        self._code: list[str] | None = None
        self._uncoloured: tuple[int, str, str] | None = None
        """The last code block: index in `_out`, language and source."""
        self._align: tuple[str, ...] = ()
        self._column = 0
        self._cell = "td"

    def elements(self) -> list[Html]:
        """The sanitised top-level elements. Raises `_OutputTooLarge`."""
        for event in self._events:
            if isinstance(event, str):
                self._before_content()
                self._words.append(" ")
                self._emit(_EMPTY_ELEMENTS[event])
                continue
            ((kind, value),) = event.items()
            if kind == "End":
                closer = self._closers.pop()
                self._emit(closer) if isinstance(closer, str) else closer()
                if self._growing and len(self._closers) == 1 and value == "Item":
                    self._item_ends.append(len(self._out))
                continue
            self._before_content()
            if kind == "Start":
                self._start(value)
            else:
                self._inline(kind, value)
        if not self._growing:
            self._colour()
        self._finish_element()
        return self._elements

    def _emit(self, markup: str) -> None:
        self._chars_left -= len(markup)
        if self._chars_left < 0:
            raise _OutputTooLarge
        self._out.append(markup)

    def _before_content(self) -> None:
        if self._uncoloured:
            self._colour()
        if not self._closers:
            self._finish_element()

    def _finish_element(self) -> None:
        if self._out:
            self._elements.append(self._cleaned_element())
            self._out.clear()
            self._item_ends.clear()
        self._words.clear()

    def _cleaned_element(self) -> Html:
        out, item_ends = self._out, self._item_ends
        if len(item_ends) < 2:
            return clean("".join(out))
        items = ["".join(out[start:end]) for start, end in pairwise((1, *item_ends))]
        return clean_growing_list(out[0], items, out[-1])

    def _inline(self, kind: str, value: Any) -> None:
        if self._code is not None:
            self._code.append(value)
            return
        if kind == "TaskListMarker":
            self._emit("☑ " if value else "☐ ")
            return
        self._words.append(value)
        text = escape(value)
        if kind == "Code":
            text = f"<code>{text}</code>"
        elif kind == "Html":
            text = text.replace("\n", "<br>")
        self._emit(text)

    def _start(self, tag: Any) -> None:
        name, value = (tag, None) if isinstance(tag, str) else next(iter(tag.items()))
        special = getattr(self, f"_start_{name.lower()}", None)
        if special:
            special(value)
        else:
            opening, closing = _TAGS[name]
            self._open(opening, closing)

    def _open(self, opening: str, closing: str) -> None:
        """Open an element; `opening` is its tag without `>`. Below `MAX_DEPTH`, only its content is shown."""
        if len(self._closers) >= MAX_DEPTH:
            self._closers.append("")
            return
        has_direction = not self._closers and opening != "<div"
        self._emit(f'{opening} dir="auto">' if has_direction else f"{opening}>")
        self._closers.append(closing)

    def _start_heading(self, value: Any) -> None:
        name = value["level"].lower()
        self._open(f"<{name}", f"</{name}>")

    def _start_blockquote(self, value: Any) -> None:
        self._open("<blockquote", "</blockquote>")

    def _start_list(self, first: int | None) -> None:
        if first is None:
            self._open("<ul", "</ul>")
        else:
            self._open("<ol" if first == 1 else f'<ol start="{first}"', "</ol>")

    def _start_table(self, align: tuple[str, ...]) -> None:
        self._align = align
        self._open('<div class="table" tabindex="0"><table', "</tbody></table></div>")

    def _start_tablehead(self, value: Any) -> None:
        self._column = 0
        self._cell = "th"
        self._open("<thead><tr", "</tr></thead><tbody>")

    def _start_tablerow(self, value: Any) -> None:
        self._column = 0
        self._cell = "td"
        self._open("<tr", "</tr>")

    def _start_tablecell(self, value: Any) -> None:
        align = _ALIGN[self._align[self._column]] if self._column < len(self._align) else ""
        self._column += 1
        self._open(f"<{self._cell}{align}", f"</{self._cell}>")

    def _start_codeblock(self, kind: Any) -> None:
        language = language_of(kind["Fenced"]) if isinstance(kind, dict) else ""
        self._code = []
        self._closers.append(lambda: self._end_code(language))

    def _end_code(self, language: str) -> None:
        source = "".join(self._code or ())
        self._code = None
        known = language.lower() in LANGUAGES
        label = f'<span class="code-lang">{escape(language)}</span>'
        name = f' class="language-{escape(language.lower())}"' if known else ""
        self._emit(f'<div class="code"><div class="code-head">{label}</div><pre tabindex="0"><code{name}>')
        self._uncoloured = (len(self._out), language, source)
        self._emit(escape(source))
        self._emit("</code></pre></div>")

    def _colour(self) -> None:
        """Highlight the last code block. Called when something follows it or no more text comes."""
        if self._uncoloured:
            position, language, source = self._uncoloured
            self._uncoloured = None
            coloured = highlight(language, source)
            if len(coloured) <= self._chars_left:
                self._chars_left -= len(coloured)
                self._out[position] = coloured

    def _start_link(self, link: Any) -> None:
        dest = f"mailto:{link['dest_url']}" if link["link_type"] == "Email" else link["dest_url"]
        target = link_target(dest) if not self._open_links else None
        first_word = len(self._words)
        if target:
            self._open_links += 1
            title = f' title="{escape(link["title"])}"' if link["title"] else ""
            self._emit(f'<a href="{escape(target.url)}"{title}>')
        self._closers.append(lambda: self._end_link(target, first_word))

    def _end_link(self, target: LinkTarget | None, first_word: int) -> None:
        if target:
            self._open_links -= 1
            self._emit("</a>")
            if not target.is_named_in("".join(self._words[first_word:])):
                self._emit(f' <span class="host">({escape(target.host)})</span>')

    def _start_image(self, image: Any) -> None:
        position, first_word = len(self._out), len(self._words)
        target = link_target(image["dest_url"]) if not self._open_links else None
        self._open_links += 1
        self._closers.append(lambda: self._end_image(target, position, first_word))

    def _end_image(self, target: LinkTarget | None, position: int, first_word: int) -> None:
        self._open_links -= 1
        del self._out[position:]
        alt = escape(" ".join("".join(self._words[first_word:]).split()))
        label = f"[image: {alt}]" if alt else "[image]"
        if target:
            self._emit(f'<a href="{escape(target.url)}">{label} {escape(target.host)}</a>')
        else:
            self._emit(label)
