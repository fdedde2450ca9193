"""Markdown becomes safe HTML, the same whole and streamed."""

from __future__ import annotations

import os
import re
import time

import pytest
from django.template import Context, Template
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat import markdown
from chat.markdown import Html, LiveMarkdown, excerpt, render, render_plain
from chat.markdown.code import LANGUAGES, highlight
from chat.markdown.renderer import render_block
from chat.markdown.sanitise import clean, clean_growing_list
from chat.text import clean_text
from tests.markdown_page import Node, normal, read
from tests.markdown_texts import HOSTILE, assert_safe, cut, hostile_definitions, texts

EXAMPLES = 2000 if os.environ.get("SOAK") == "1" else 150


def text_of(node: Node | str) -> str:
    return node if isinstance(node, str) else "".join(text_of(child) for child in node.children)


def links(markup: str) -> list[str]:
    return [node.attributes["href"] for node in read(markup).walk() if node.tag == "a"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_safe_markup_whole_and_cut_anywhere(text: str) -> None:
    for context in ("{}", "> {}", "- {}", "|a|\n|-|\n|{}|", "**{}", "# {}", "```\n{}"):
        source = context.format(text)
        assert_safe(render(source))
        assert_safe(render_plain(source))
        for length in range(1, len(source), 3):
            done, tail = LiveMarkdown.snapshot(source[:length])
            assert_safe(done)
            assert_safe(tail)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>\"'`*_~[]()!|-#:/&;\\ \n\tahxjpscrit=1.\r\u202e\ud800"), max_size=80))
def test_any_text_becomes_safe_markup(text: str) -> None:
    assert_safe(render(text))
    assert_safe("".join(LiveMarkdown.snapshot(text)))


@pytest.mark.parametrize(
    "text",
    ["<b>bold</b>", "a <script>alert(1)</script> b", "<div>\n<p>x</p>\n</div>", "<!-- note -->", "<hx-partial>"],
)
def test_raw_html_is_shown_as_text(text: str) -> None:
    assert re.sub(r"\s", "", text_of(read(render(text)))) == re.sub(r"\s", "", text)


def test_an_image_is_a_visible_link_and_never_loaded() -> None:
    markup = render("![a *cat*](https://pics.example/cat.png) and ![b](data:image/png;base64,AA)")
    assert "<img" not in markup
    assert links(markup) == ["https://pics.example/cat.png"]
    assert text_of(read(markup)) == "[image: a cat] pics.example and [image: b]"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("[docs](https://docs.example/a)", "docs (docs.example)"),
        ("[docs.example](https://docs.example/a)", "docs.example"),
        ("[the Docs.Example site](https://www.docs.example/a)", "the Docs.Example site"),
        ("[good.example](https://evil.example/)", "good.example (evil.example)"),
        ("[evil.example.good.example](https://evil.example/)", "evil.example.good.example (evil.example)"),
        ("[münchen](https://münchen.example/)", "münchen (xn--mnchen-3ya.example)"),
        ("<https://docs.example/a>", "https://docs.example/a"),
        ("<me@docs.example>", "me@docs.example"),
        ("[write](mailto:me@docs.example)", "write (me@docs.example)"),
    ],
)
def test_a_link_shows_its_host(source: str, shown: str) -> None:
    markup = render(source)
    assert text_of(read(markup)) == shown
    assert len(links(markup)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "/logout",
        "?delete=1",
        "//host.example/",
        "javascript:alert(1)",
        "ftp://a.example",
        "https://a.example/" + "x" * 2000,
    ],
)
def test_other_urls_are_not_links(url: str) -> None:
    markup = render(f"[text](<{url}>)")
    assert links(markup) == []
    assert "text" in text_of(read(markup))


def test_links_open_a_new_tab_and_send_no_referrer() -> None:
    (link,) = [node for node in read(render("[x](https://a.example)")).walk() if node.tag == "a"]
    assert link.attributes["target"] == "_blank"
    assert link.attributes["rel"] == "noopener noreferrer nofollow ugc"


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("3. a\n4. b\n", '<ol start="3" dir="auto"><li>a</li>'),
        (
            "|x|y|\n|:-|-:|\n|1|2|\n",
            '<div class="table" tabindex="0"><table dir="auto"><thead><tr><th align="left">x</th>',
        ),
        ("|x|y|\n|:-|-:|\n|1|~~2~~|\n", '<td align="right"><del>2</del></td>'),
        ("- [x] done\n- [ ] open\n", "<li>☑ done</li><li>☐ open</li>"),
        ("***\n", "<hr>"),
        ("## H\n", '<h2 dir="auto">H</h2>'),
    ],
    ids=["list", "table", "table cell", "task list", "rule", "heading"],
)
def test_the_dialect(text: str, piece: str) -> None:
    assert piece in render(text)


CODE = 'def f(x):\n\treturn "</pre>"  # <b>\n\n\n    \n'


def test_code_keeps_every_character() -> None:
    (code,) = [node for node in assert_safe(render(f"```python\n{CODE}```")).walk() if node.tag == "code"]
    assert text_of(code) == CODE


def test_code_has_its_language_and_colours() -> None:
    markup = render(f"```python title=x\n{CODE}```")
    assert '<span class="code-lang">python</span>' in markup
    assert '<code class="language-python">' in markup
    assert '<span class="k">' in markup


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_is_highlighted_without_losing_a_character(language: str) -> None:
    source = "# x = 'a<b>&' + 1\n\tif (x) { return [y] } // z\n\n"
    assert text_of(read(highlight(language, source))) == source


def test_an_unknown_language_is_shown_without_colours() -> None:
    markup = render("```nosuchthing\nif x:\n```")
    assert '<span class="code-lang">nosuchthing</span>' in markup
    assert "<code>if x:" in markup


def depth(node: Node) -> int:
    return 1 + max((depth(child) for child in node.elements()), default=0)


@pytest.mark.parametrize(
    "text",
    [">" * 5000 + " end", "- " * 200 + "end", "".join("  " * n + "- x\n" for n in range(60)) + "end"],
    ids=["quotes", "lists", "indented lists"],
)
def test_nesting_is_limited_and_the_text_stays(text: str) -> None:
    root = assert_safe(render(text))
    assert depth(root) <= 24
    assert "end" in text_of(root)


@pytest.mark.parametrize(
    "text",
    [
        ">" * 50_000,
        "> " * 50_000,
        "|a" * 3000 + "|\n" + "|-" * 3000 + "|\n" + "|\n" * 5000,
        "[" * 100_000,
        "*a " * 33_000,
        "`" * 100_000,
        "![" * 50_000,
        "<" * 100_000,
        "- a\n" * 25_000,
        "a\n\n" * 30_000,
        "```python\n" + "+1" * 50_000,
        "[a]: https://x.example\n" * 4000 + "[a]" * 100,
        "x" * 100_000,
        "&quot;" * 16_000,
    ],
    ids=range(14),
)
def test_the_time_and_markup_for_expensive_text_are_limited(text: str) -> None:
    started = time.thread_time()
    markup = render(text)
    assert len(markup) <= 25 * len(text) + 100_000
    assert time.thread_time() - started < 20
    read(markup)


def slowest_frame(unit: str) -> float:
    """Seconds of CPU of the slowest frame while 60,000 characters are streamed."""
    text = (unit * 60_000)[:60_000]
    live, slowest = LiveMarkdown(), 0.0
    for start in range(0, len(text), 3000):
        live.feed(text[start : start + 3000])
        started = time.thread_time()
        live.take_finished()
        live.tail()
        slowest = max(slowest, time.thread_time() - started)
    return slowest


@pytest.mark.parametrize(
    "unit",
    [
        "[a](b",
        "[[a]](",
        "[a]",
        "![",
        "<a ",
        "**a",
        "_a*b",
        "~~a",
        "`a` ",
        "- a\n",
        "1. a\n   ",
        "|a|b\n",
        "&quot;",
        "> ",
    ],
)
def test_no_text_makes_a_frame_much_slower_than_plain_words(unit: str) -> None:
    assert slowest_frame(unit) < 400 * slowest_frame("x ")


def test_beyond_the_size_limit_the_rest_is_plain() -> None:
    markup = render("**a**\n\n" * 10_000 + "**end**")
    assert markup.startswith('<p dir="auto"><strong>a</strong></p>')
    assert markup.endswith("**end**</div>")


def test_an_error_in_the_renderer_shows_the_text_without_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("chat.markdown.renderer.clean", fail)
    assert render("<b>never rendered before</b>") == render_plain("<b>never rendered before</b>")


@pytest.mark.parametrize("text", ["only words", "# only a heading", "- only a list", "only `code`"])
def test_even_simple_markup_passes_the_sanitiser(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.markdown.renderer.clean", lambda markup: Html("<p>sanitised</p>"))
    assert render(f"{text}, sanitised") == "<p>sanitised</p>"
    assert LiveMarkdown.snapshot(f"{text}, sanitised")[1] == "<p>sanitised</p>"


def test_every_item_of_a_growing_list_is_sanitised() -> None:
    items = ["<li><img src=x onerror=alert(1)>one</li>", "<li onclick='alert(1)'>two</li>", "<li><b>three</li>"]
    for length in range(1, len(items) + 1):
        markup = clean_growing_list("<ul>", items[:length], "</ul>")
        assert markup == clean("<ul>" + "".join(items[:length]) + "</ul>")
        assert_safe(markup)


def test_a_growing_list_with_other_tags_is_sanitised_as_a_whole() -> None:
    assert clean_growing_list("<form>", ["<li>one</li>"], "</form>") == "<li>one</li>"


def test_templates_do_not_escape_markup_again() -> None:
    page = Template("{{ a }}|{{ b }}").render(Context({"a": render("*x*"), "b": "<i>"}))
    assert page == '<p dir="auto"><em>x</em></p>|&lt;i&gt;'


def test_an_excerpt_is_one_line_without_markup() -> None:
    text = "# Title\n\n- **one**\n- [two](https://x.example)\n\n```py\ncode()\n```\n<b>"
    assert excerpt(text, 100) == "Title one two code() <b>"


def test_an_excerpt_has_a_limited_length() -> None:
    assert excerpt("word " * 100, 20) == "word word word word…"
    assert len(excerpt("x" * 5000, 80)) == 80


@settings(max_examples=EXAMPLES * 4, deadline=None)
@example(["\t# H\n\r```py\n# H\n", "# H\n"])
@example(["a\r", "\nb\r", "c\r"])
@given(cut())
def test_finished_elements_are_the_start_of_the_whole_text_and_with_the_tail_all_of_it(pieces: list[str]) -> None:
    whole = render("".join(pieces))
    live = LiveMarkdown()
    so_far = ""
    for piece in pieces:
        live.feed(piece)
        so_far += "".join(live.take_finished())
        assert whole.startswith(so_far)
        assert_safe("".join(live.tail()))
    assert so_far + "".join(live.final_tail()) == whole


@settings(max_examples=EXAMPLES * 4, deadline=None)
@given(texts)
def test_rendering_block_by_block_gives_the_same_as_rendering_at_once(text: str) -> None:
    assert render(text) == "".join(render_block(clean_text(text), {}))


@settings(max_examples=EXAMPLES * 4, deadline=None)
@given(texts, st.sampled_from(['"', "\xa0", "\\&quot;", "&lt;b>", "\x85", "\u2028"]))
def test_sanitising_again_changes_nothing(text: str, odd: str) -> None:
    source = text.replace("word", odd)
    for markup in (render(source), render_plain(source), *LiveMarkdown.snapshot(source)):
        assert clean(markup) == markup


def test_a_text_beyond_the_size_limit_is_the_same_streamed_and_whole() -> None:
    text = "**a** b\n\n- c\n- d\n\n" * 4000
    live, so_far = LiveMarkdown(), ""
    for start in range(0, len(text), 3001):
        live.feed(text[start : start + 3001])
        so_far += "".join(live.take_finished())
    assert so_far + "".join(live.final_tail()) == render(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cut(hostile_definitions))
def test_link_definitions_cannot_add_unsafe_markup(pieces: list[str]) -> None:
    live = LiveMarkdown()
    for piece in pieces:
        live.feed(piece)
        assert_safe("".join(live.take_finished()))
    assert_safe("".join(live.final_tail()))


def test_a_link_definition_applies_to_the_blocks_after_it() -> None:
    text = "[a]: https://one.example\n\n[a]: https://two.example\n\npara [x][A]\n\nend [a]\n"
    assert links(render(text)) == ["https://one.example"] * 2


@pytest.mark.parametrize(
    ("so_far", "tail"),
    [
        ("see **bo", '<p dir="auto">see <strong>bo</strong></p>'),
        ("see **", '<p dir="auto">see</p>'),
        ("see `co", '<p dir="auto">see <code>co</code></p>'),
        ("see [the docs](https://ex", '<p dir="auto">see the docs</p>'),
        ("see [the do", '<p dir="auto">see the do</p>'),
        ("para\n--", '<p dir="auto">para</p>'),
        ("- a\n- ", '<ul dir="auto"><li>a</li></ul>'),
        ("- a\n- **b", '<ul dir="auto"><li>a</li><li><strong>b</strong></li></ul>'),
        ("| a | b |\n|--", ""),
        ("```pyth", ""),
        ("2 * 3 and snake_case", '<p dir="auto">2 * 3 and snake_case</p>'),
    ],
)
def test_incomplete_syntax_is_not_shown(so_far: str, tail: str) -> None:
    assert "".join(LiveMarkdown.snapshot(so_far)) == tail


def test_an_open_code_block_has_no_colours_and_hides_an_incomplete_fence() -> None:
    done, tail = LiveMarkdown.snapshot("```py\nif x:\n``")
    assert done == ""
    assert normal(tail).count("if x:\n</code>") == 1
    assert '<span class="k">' not in tail


def test_a_closed_code_block_is_finished_and_has_colours() -> None:
    done, tail = LiveMarkdown.snapshot("```py\nif x:\n```\n")
    assert '<span class="k">' in done
    assert tail == ""


@pytest.mark.parametrize("text", ["a paragraph\n\n", "# A heading\n", "Another heading\n===\n", "***\n"])
def test_a_block_to_which_no_line_can_be_added_is_finished(text: str) -> None:
    assert LiveMarkdown.snapshot(text) == (render(text), "")


@pytest.mark.parametrize("text", ["a paragraph\n", "- a list\n\n", "> a quote\n", "<div>\n", "|a|\n|-|\n|1|\n"])
def test_a_block_to_which_a_line_can_be_added_is_not_finished(text: str) -> None:
    assert LiveMarkdown.snapshot(text)[0] == ""


def test_the_package_has_five_public_names() -> None:
    assert set(markdown.__all__) == {"Html", "LiveMarkdown", "excerpt", "render", "render_plain"}
