"""The sanitiser: the last step before HTML leaves this package. An allow list of tags, attributes and URL schemes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import nh3

from chat.markdown.code import CLASSES, LANGUAGES

LINK_REL: Final = "noopener noreferrer nofollow ugc"

_DIRECTION: Final = {"dir": {"auto"}}
_CELL: Final = {"align": {"left", "right", "center"}}
_BLOCKS: Final = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table")
_OTHERS: Final = ("br", "hr", "strong", "em", "s", "del", "li", "pre", "code", "a", "thead", "tbody", "tr", "th", "td")
_CONTAINERS: Final = ("div", "span")
_MAX_CACHED_CHARS: Final = 400


class Html(str):
    """Markup that can be put into a page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


_CLEANER: Final = nh3.Cleaner(
    tags={*_BLOCKS, *_OTHERS, *_CONTAINERS},
    clean_content_tags=set(),
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    tag_attribute_values={
        **dict.fromkeys(_BLOCKS, _DIRECTION),
        "th": _CELL,
        "td": _CELL,
        "div": {"tabindex": {"0"}, "dir": {"auto"}},
        "pre": {"tabindex": {"0"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={
        "code": {f"language-{name}" for name in LANGUAGES},
        "div": {"code", "code-head", "table", "plain"},
        "span": {"code-lang", "host", *CLASSES},
    },
    link_rel=LINK_REL,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    strip_comments=True,
)


def clean(markup: str) -> Html:
    """The markup without anything that is not on the allow list, and with all tags balanced."""
    return Html(_CLEANER.clean(markup))


def clean_growing_list(opening: str, items: Sequence[str], closing: str) -> Html:
    """A list of which only the last item changes: cleaned item by item, with cached results for the others.

    Every item must be balanced by itself. The tags of the list are cleaned too; if the cleaner changes them, the
    list is cleaned as a whole.
    """
    tags = _clean_cached(opening + closing)
    if not tags.endswith(closing):
        return clean("".join((opening, *items, closing)))
    *unchanged, last = items
    return Html("".join((tags[: -len(closing)], *map(_clean_item, unchanged), clean(last), closing)))


def _clean_item(markup: str) -> Html:
    return _clean_cached(markup) if len(markup) <= _MAX_CACHED_CHARS else clean(markup)


_clean_cached = lru_cache(maxsize=4096)(clean)


def escape(text: str) -> str:
    """Escape text for element content and double-quoted attributes. CR becomes LF, as in every HTML parser."""
    return html.escape(text.replace("\r\n", "\n").replace("\r", "\n"), quote=False).replace('"', "&quot;")
