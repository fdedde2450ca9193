from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.events import Delta, Reasoning, Started
from chat.markdown import LiveMarkdown, render
from chat.streaming import sse
from chat.streaming.encoders.html import CLOSE, HtmlEncoder
from tests.markdown_page import Page, events_in, normal, read
from tests.markdown_texts import HOSTILE, PIECES, assert_safe, cut, hostile_definitions, texts

EXAMPLES = 2000 if os.environ.get("SOAK") == "1" else 200
MESSAGE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ID = f"m-{MESSAGE_ID}"


def deltas(*pieces: str) -> list[Delta]:
    return [Delta(text=piece) for piece in pieces]


def final(text: str) -> str:
    body = f'<div id="{ID}-body" hx-ignore><div id="{ID}-done">{render(text)}</div><div id="{ID}-tail"></div></div>'
    return f'<article id="{ID}" data-status="complete">{body}<p>after</p></article>'


def ended(article: str) -> str:
    return f'<hx-partial hx-target="#{ID}" hx-swap="outerMorph">{article}</hx-partial>'


EMPTY = normal(
    f'<article id="{ID}" data-status="complete"><div id="{ID}-body" hx-ignore="" hx-morph-skip-children=""></div>'
    "<p>after</p></article>"
)


def snapshot(text: str) -> str:
    return normal("".join(LiveMarkdown.snapshot(text)))


@settings(max_examples=EXAMPLES * 4, deadline=None)
@given(cut())
def test_after_each_frame_the_page_shows_exactly_the_text_its_id_counts(pieces: list[str]) -> None:
    text = "".join(pieces)
    page, encoder = Page(ID), HtmlEncoder(message_id=MESSAGE_ID, after=0)
    for piece in pieces:
        page.take(encoder.encode(deltas(piece)))
        assert page.shown() == snapshot(text[: int(page.last_id or 0)])
    page.take(encoder.encode(()))
    assert page.shown() == snapshot(text)
    page.take(encoder.finish(ended(final(text))))
    assert shows(page, text)
    assert page.closed


def shows(page: Page, text: str) -> bool:
    """Either the body stayed and is right, or the article came whole."""
    if f"<root>{page.article}</root>" == EMPTY:
        return page.shown() == normal(render(text))
    return f"<root>{page.article}</root>" == normal(final(text))


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(cut(), st.data())
def test_a_page_that_shows_some_characters_needs_only_the_rest(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    shown = data.draw(st.integers(0, len(text)))
    page, encoder = (
        Page(ID, *LiveMarkdown.snapshot(text[:shown])),
        HtmlEncoder(message_id=MESSAGE_ID, after=shown),
    )
    for piece in pieces:
        page.take(encoder.encode([Started(message_id="x", model="y"), *deltas(piece)]))
    page.take(encoder.encode(()))
    assert page.shown() == snapshot(text)
    page.take(encoder.finish(ended(final(text))))
    assert shows(page, text)
    assert not render(text) or f"<root>{page.article}</root>" == EMPTY


@settings(max_examples=EXAMPLES, deadline=None)
@given(cut(), st.data())
def test_a_page_in_an_unknown_state_gets_a_snapshot(pieces: list[str], data: st.DataObject) -> None:
    stale = data.draw(texts)
    text = "".join(pieces)
    page, encoder = Page(ID, *LiveMarkdown.snapshot(stale)), HtmlEncoder(message_id=MESSAGE_ID, after=None)
    for piece in pieces:
        page.take(encoder.encode(deltas(piece)))
    page.take(encoder.encode(()))
    assert page.shown() == snapshot(text)


def test_a_count_beyond_the_text_waits_and_is_put_right_at_the_end() -> None:
    page, encoder = Page(ID, "<p>other</p>", "<p>words</p>"), HtmlEncoder(message_id=MESSAGE_ID, after=1000)
    assert encoder.encode(deltas("**some** text")) == b""
    page.take(encoder.finish(ended(final("**some** text"))))
    assert f"<root>{page.article}</root>" == normal(final("**some** text"))


def test_an_article_that_shows_something_else_is_sent_whole() -> None:
    page, encoder = Page(ID), HtmlEncoder(message_id=MESSAGE_ID, after=0)
    page.take(encoder.encode(deltas("one\n\ntwo")))
    page.take(encoder.finish(ended(final("one\n\nthree"))))
    assert f"<root>{page.article}</root>" == normal(final("one\n\nthree"))


def test_a_reconnecting_page_is_sent_nothing_twice() -> None:
    text = "one two three four five six seven eight nine ten " * 20
    first = HtmlEncoder(message_id=MESSAGE_ID, after=0).encode(deltas(text))
    shown = int(events_in(first)[-1].id)
    assert shown == len(text)
    assert HtmlEncoder(message_id=MESSAGE_ID, after=shown).encode(deltas(text)) == b""
    assert b"one" not in HtmlEncoder(message_id=MESSAGE_ID, after=shown).encode(deltas(text, "more " * 20))


@pytest.mark.parametrize("text", HOSTILE)
def test_model_text_never_becomes_an_attribute_of_htmx_or_a_partial(text: str) -> None:
    source = f"{text} some words\n\n- {text}\n\n{text}\n\n```html\n{text}\n{text}\n"
    for step in (1, 7, 1000):
        encoder = HtmlEncoder(message_id=MESSAGE_ID, after=0)
        for start in range(0, len(source), step):
            events = [Reasoning(text=source[start : start + step]), *deltas(source[start : start + step])]
            for event in events_in(encoder.encode(events)):
                for partial in read(event.data).elements():
                    assert partial.tag == "hx-partial"
                    assert set(partial.attributes) == {"hx-target", "hx-swap"}
                    assert ID in partial.attributes["hx-target"] or "next [id$=tail]" in partial.attributes["hx-target"]
                    if "-reasoning" in partial.attributes["hx-target"]:
                        assert partial.elements() == []
                    else:
                        for child in partial.elements():
                            assert_safe(child.html())


@settings(max_examples=EXAMPLES, deadline=None)
@given(cut(hostile_definitions))
def test_definitions_in_the_stream_end_in_the_same_page(pieces: list[str]) -> None:
    text = "".join(pieces)
    page, encoder = Page(ID), HtmlEncoder(message_id=MESSAGE_ID, after=0)
    for piece in pieces:
        page.take(encoder.encode(deltas(piece)))
    page.take(encoder.finish(ended(final(text))))
    assert shows(page, text)


def test_reasoning_grows_as_text() -> None:
    page, encoder = Page(ID), HtmlEncoder(message_id=MESSAGE_ID, after=0)
    page.take(encoder.encode([Reasoning(text="First <b>\n")]))
    page.take(encoder.encode([Reasoning(text="second\n")]))
    assert "".join(map(str, page.parts["reasoning"].children)) == "First <b>\nsecond\n"


def test_a_long_code_block_is_sent_as_it_grows_and_once_more_in_colour() -> None:
    code = "".join(f"value_{n} = compute({n})  # step\n" for n in range(200))
    text = f"```python\n{code}```\nEnd.\n"
    encoder = HtmlEncoder(message_id=MESSAGE_ID, after=0)
    frames = [encoder.encode(deltas(text[at : at + 32])) for at in range(0, len(text), 32)]
    uncoloured = [frame for frame in frames if b'<span class="' not in frame]
    assert sum(map(len, uncoloured)) < 4 * len(text)
    assert sum(b"value_7 " in frame or b"value_7</span>" in frame for frame in frames) <= 2


def test_a_long_list_is_not_sent_again_and_again() -> None:
    text = "".join(f"- **item {n}** with `code` and some words\n" for n in range(200))
    encoder = HtmlEncoder(message_id=MESSAGE_ID, after=0)
    frames = [encoder.encode(deltas(text[at : at + 32])) for at in range(0, len(text), 32)]
    assert sum(map(len, frames)) < 5 * len(text)


def test_small_pieces_wait_for_a_frame_but_the_first_is_sent_at_once() -> None:
    encoder = HtmlEncoder(message_id=MESSAGE_ID, after=0)
    assert encoder.encode(deltas("a"))
    assert encoder.encode(deltas("b")) == b""
    assert b">b<" in encoder.encode(()).replace(b"\n", b"")


def test_finish_sends_all_partials_as_one_message_then_the_closing_event() -> None:
    partials = ended(f'<article id="{ID}">x</article>') + '<hx-partial hx-target="#t">y</hx-partial>'
    stream = HtmlEncoder(message_id=MESSAGE_ID, after=0).finish(partials)
    message, closing = events_in(stream)
    assert (message.name, closing.name) == ("message", "done")
    assert message.data == partials
    assert stream.endswith(CLOSE)


def test_the_closing_event_is_named_done() -> None:
    assert CLOSE == b"event: done\ndata: \n\n"


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]))
        | st.sampled_from([*PIECES, "\r", "\n", "data: ", "\n\n"])
    ).map("".join),
    st.sampled_from(["", "name"]),
)
def test_any_text_survives_framing_but_for_its_line_ends(data: str, name: str) -> None:
    framed = sse.event(data, name=name, id="7")
    event, following = events_in(framed + sse.event("next"))
    assert following.data == "next"
    assert event.data == re.sub("\r\n?", "\n", data)
    assert (event.name, event.id) == (name or "message", "7")


def test_retry_and_pings_are_no_data() -> None:
    assert sse.event("x", retry=500).startswith(b"retry: 500\n")
    assert events_in(sse.COMMENT_PING) == []


@pytest.mark.parametrize(
    "raw", [None, "", "-1", "+1", "1.0", " 1", "1\0", "abc", "9" * 30, "2147483648", "1" * 100_000, "١", "1\n"]
)
def test_a_bad_last_event_id_is_none(raw: str | None) -> None:
    assert sse.parse_last_event_id(raw) is None


def test_a_good_last_event_id_is_a_number() -> None:
    assert [sse.parse_last_event_id(raw) for raw in ("0", "12", "0012")] == [0, 12, 12]
