"""Texts that Markdown tests render: hostile ones, and pieces that hypothesis combines; and what safe markup is."""

from __future__ import annotations

import itertools
import re

from hypothesis import strategies as st

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


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<details open ontoggle=alert(1)>",
    "<style>body{display:none}</style>",
    "<!-- --><b>",
    "<!--> <img src=x onerror=alert(1)> -->",
    "<?php echo 1 ?>",
    "<![CDATA[<script>]]>",
    "<!DOCTYPE html>",
    "<div hx-get=/logout hx-trigger=load>x</div>",
    '<div hx-sse:connect="/m/1/stream/">',
    "<hx-partial hx-target='body' hx-swap='innerHTML'>gone</hx-partial>",
    "</hx-partial></template></article><h1>out</h1>",
    "`<hx-partial hx-target=body>`",
    "```html\n<hx-partial hx-target=body></hx-partial>\n</code></pre><script>alert(1)</script>\n```",
    '```"onmouseover=alert(1) x="\ncode\n```',
    "```<script>\ncode\n```",
    "```hx-get\ncode",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\nscript:alert(1)>)",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#x1;javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/x)",
    "[x](/logout)",
    "[x](?delete=1)",
    "[x](https:evil.example)",
    "[x](https:///evil.example)",
    "[x](https://good.example@evil.example/)",
    "[x](https://good.example\\@evil.example/)",
    "[x](https://evil.example\\\\.good.example/)",
    "[x](https://\u202ehost.example/)",
    "[x](http://[::1)",
    "[x](http://a:99999/)",
    '[x](https://a.example "><img src=x onerror=alert(1)>")',
    "[x](https://a.example 'a\" onmouseover=\"alert(1)')",
    '[x](https://a.example/"onmouseover=alert(1))',
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "<https://a.example/'onclick='alert(1)>",
    "<me@evil.example?subject=x>",
    "![x](javascript:alert(1))",
    "![x](https://a.example/?leak=secret)",
    '![x" onerror="alert(1)](https://a.example/x.png)',
    "[![x](https://a.example/x.png)](https://b.example)",
    "[[x](https://a.example)](https://b.example)",
    "[x]: javascript:alert(1)\n\n[x]",
    '[x]: https://a.example "onclick=alert(1)"\n\n[x]',
    "1. a\n" * 3 + "999999999. b",
    "data: x\n\nevent: done\ndata: x\n\nid: 9\n: ping",
    "a\rb\r\nc\x00d\ud800e\udfff",
    "\u2028\u2029\x0b\x0c\x85",
    "{% load i18n %}{{ user }}{{ text|safe }}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "$$x$$ ~~~mermaid\ngraph\n~~~",
]

PIECES = [
    *("# H\n", "text ", "**b** ", "*e* ", "`c` ", "\n", "\n\n", "- a\n", "- ", "  - n\n", "1. x\n", "2) y\n", "> q\n"),
    *(
        "```py\n",
        "```\n",
        "~~~\n",
        "    ind\n",
        "\t",
        "| a | b |\n",
        "|---|---|\n",
        "|1|2|\n",
        "***\n",
        "---\n",
        "===\n",
    ),
    *(
        "[l](http://x.example) ",
        "![i](http://x.example)",
        "<b>",
        "<div>\n",
        "</div>\n",
        "\\",
        "é",
        "漢字",
        "🙂",
        "\r",
        "\r\n",
    ),
    *("*", "_", "`", "``", "~~", "[", "](", ")", "&amp;", "  \n", " ", "<!--", "-->", "word", "1", ".", "|", ":", "#"),
]

texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)

hostile_definitions = st.lists(
    st.sampled_from([*PIECES, "[a]: http://a.example\n", "[a]: http://b.example\n", "[a] ", "[x][a] ", "[A]: <"]),
    max_size=30,
).map("".join)


@st.composite
def cut(draw: st.DrawFn, source: st.SearchStrategy[str] = texts) -> list[str]:
    text = draw(source)
    at = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(at)]
