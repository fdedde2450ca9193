"""The last step before anything leaves: an allow list of tags, attributes and schemes."""

from __future__ import annotations

import html
import re
from typing import Final

import nh3

from chat.markdown.code import CLASSES, LANGUAGES

LINK_REL: Final = "noopener noreferrer nofollow ugc"

_DIRECTION: Final = {"dir": {"auto"}}
_CELL: Final = {"align": {"left", "right", "center"}}
_BLOCKS: Final = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table")
_OTHERS: Final = ("br", "hr", "strong", "em", "s", "del", "li", "pre", "code", "a", "thead", "tbody", "tr", "th", "td")
_OURS: Final = ("div", "span")


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


_CLEANER: Final = nh3.Cleaner(
    tags={*_BLOCKS, *_OTHERS, *_OURS},
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


# Most elements are words and tags without attributes: harmless, and balanced as the renderer writes them.
# The cleaner would only write their quotation marks as they are.
_HARMLESS: Final = re.compile(
    r"(?:[^<>&\0\xa0]++|&(?:amp|lt|gt|quot);"
    r'|</?(?:p|h[1-6]|ul|ol|li|blockquote|strong|em|del|code)(?: dir="auto")?>)*+'
)


def clean(markup: str) -> Html:
    if _HARMLESS.fullmatch(markup):
        return Html(markup.replace("&quot;", '"'))
    return Html(_CLEANER.clean(markup))


def escape(text: str) -> str:
    """For element content and double-quoted attributes. CR becomes LF, as every HTML parser reads it."""
    return html.escape(text.replace("\r\n", "\n").replace("\r", "\n"), quote=False).replace('"', "&quot;")
