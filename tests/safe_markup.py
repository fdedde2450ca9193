"""What the markup of user and model text may contain, stated independently of the sanitiser."""

from __future__ import annotations

import re

from chat.markdown.code import CLASSES, LANGUAGES
from tests.markdown_page import Node, read

ALLOWED = {
    **{key: {"dir"} for key in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "table")},
    **{key: set() for key in ("br", "hr", "strong", "em", "s", "del", "li", "thead", "tbody", "tr")},
    "ol": {"dir", "start"},
    "th": {"align"},
    "td": {"align"},
    "a": {"href", "title", "target", "rel"},
    "code": {"class"},
    "pre": {"tabindex"},
    "div": {"class", "dir", "tabindex"},
    "span": {"class"},
}
VALUES = {
    "dir": r"auto",
    "start": r"\d{1,9}",
    "align": r"left|right|center",
    "href": r"(?:https?://|mailto:)[^\s\\]+",
    "title": r"(?s).*",
    "target": r"_blank",
    "rel": r"noopener noreferrer nofollow ugc",
    "tabindex": r"0",
}
CLASSES_OF = {
    "code": {f"language-{name}" for name in LANGUAGES},
    "div": {"code", "code-head", "table", "plain"},
    "span": {"code-lang", "host", *CLASSES},
}


def assert_safe(markup: str) -> Node:
    """Parse the markup; fail if it does not nest or has a tag, attribute or value that is not allowed."""
    root = read(markup)
    for node in root.walk()[1:]:
        assert node.tag in ALLOWED, node.tag
        assert set(node.attributes) <= ALLOWED[node.tag], node.html()[:200]
        for name, value in node.attributes.items():
            if name == "class":
                assert value in CLASSES_OF[node.tag], value
            else:
                assert re.fullmatch(VALUES[name], value, re.IGNORECASE), (name, value)
    return root
