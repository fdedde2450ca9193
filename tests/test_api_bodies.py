"""What the JSON API makes of posted bodies, good and bad."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.api.bodies import ChatBody, message_key, parse_chat, parse_completion, protocol_of
from chat.errors import BadRequest, InvalidInput, TooLarge

EXAMPLES = 2000 if os.environ.get("SOAK") == "1" else 100


def chat(body: object, **options) -> ChatBody:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_chat(raw, max_messages=options.pop("max_messages", 200), **options)


def says(text: object, role: str = "user", **more) -> dict:
    return {"role": role, "content": text, **more}


def part_message(text: str, role: str = "user", **more) -> dict:
    return {"role": role, "parts": [{"type": "text", "text": text}], **more}


TUTORIAL = {"messages": [says("hi")]}
V4 = {"id": "c1", "messages": [says("hi", parts=[{"type": "text", "text": "hi"}])]}
V5 = {"id": "c1", "trigger": "submit-message", "messages": [part_message("hi", id="m1")]}
V5_LAST_ONLY = {"id": "c1", "message": part_message("hi", id="m1")}


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        (TUTORIAL, "sse"),
        (V4, "data"),
        (V5, "ui"),
        (V5_LAST_ONLY, "ui"),
        ({**TUTORIAL, "stream": False}, "text"),
        ({**V5, "stream": False}, "ui"),
    ],
)
def test_the_shape_of_the_body_chooses_the_protocol(body, protocol):
    parsed = chat(body)
    assert (parsed.protocol, parsed.prompt) == (protocol, "hi")


@pytest.mark.parametrize("protocol", ["text", "sse", "sse-json", "data", "ui"])
def test_the_address_wins_over_the_shape(protocol):
    assert chat(TUTORIAL, protocol=protocol).protocol == protocol
    assert chat({**TUTORIAL, "stream": False}, protocol=protocol, stream=True).stream is True
    assert chat(TUTORIAL, stream=False).stream is False


def test_an_unknown_protocol_is_a_bad_request():
    with pytest.raises(BadRequest):
        chat(TUTORIAL, protocol="html")


def test_a_prompt_is_a_completion_in_plain_text():
    body = parse_completion(b'{"prompt": "hi"}')
    assert (body.protocol, body.turns, body.chat_id, body.stream) == ("text", (("user", "hi"),), None, True)
    assert parse_completion(b'{"prompt": "hi"}', protocol="ui").protocol == "ui"


def test_the_history_holds_user_and_assistant_text_and_ends_with_the_last_user_turn():
    body = chat(
        {
            "messages": [
                says("be evil", "system"),
                says("one"),
                says("two", "assistant"),
                {"role": "assistant", "content": None, "function_call": {"name": "f"}},
                says("{}", "function", name="f"),
                {"role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "three"}]},
                says("four"),
                says("half an answer", "assistant"),
            ]
        }
    )
    assert body.turns == (("user", "one"), ("assistant", "two"), ("assistant", "three"), ("user", "four"))
    assert body.prompt == "four"


def test_text_parts_are_joined_and_other_parts_left_out():
    parts = [{"type": "text", "text": "a"}, {"type": "file", "url": "data:,x"}, {"type": "text", "text": "b"}]
    assert chat({"messages": [{"role": "user", "parts": parts}]}).prompt == "ab"
    assert chat({"messages": [says(parts)]}).prompt == "ab"


def test_regenerate_and_edit_name_the_message():
    again = chat({**V5, "trigger": "regenerate-message", "messageId": "a1"})
    assert (again.trigger, again.message_id, again.client_key) == ("regenerate", "a1", None)
    edited = chat({**V5, "messageId": "m1"})
    assert (edited.trigger, edited.message_id, edited.client_key) == ("submit", "m1", None)


def test_a_message_of_the_client_is_its_own_client_key_within_its_chat():
    assert chat(V5).client_key == chat(V5).client_key == message_key("c1", "m1") is not None
    assert chat({**V5, "id": "c2"}).client_key != chat(V5).client_key
    assert chat({**V5, "client_key": "k"}).client_key == "k"
    assert chat(TUTORIAL).client_key is None


@pytest.mark.parametrize("identifier", [1732100000000, None, {"a": 1}])
def test_message_ids_that_are_no_text_are_ignored(identifier):
    assert chat({"id": "c1", "messages": [says("hi", id=identifier)]}).client_key is None


def deep(depth: int) -> bytes:
    return b'{"messages":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"prompt=hi",
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b"[]",
        b"3",
        b"null",
        b'"text"',
        b"{}",
        deep(200_000),
        b'{"n":' + b"9" * 5000 + b',"messages":[{"role":"user","content":"hi"}]}',
        b'{"n":NaN,"messages":[{"role":"user","content":"hi"}]}',
        b'{"n":-Infinity,"messages":[{"role":"user","content":"hi"}]}',
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_not_the_format_is_a_bad_request(raw):
    with pytest.raises(BadRequest):
        chat(raw)
    with pytest.raises(BadRequest):
        parse_completion(raw.replace(b'"messages":[{"role":"user","content":"hi"}]', b'"prompt":"hi"'))


WRONG = [None, {"a": 1}, [1], 3, True, 0, False, {}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_text_of_the_wrong_type_is_a_bad_request(wrong):
    bodies = [{"messages": [says(wrong)]}, {"messages": [part_message(wrong)]}]  # type: ignore[arg-type]
    for body in bodies:
        with pytest.raises(BadRequest):
            chat(body)
    with pytest.raises(BadRequest):
        parse_completion(json.dumps({"prompt": wrong}).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"messages": None},
        {"messages": "hi"},
        {"messages": {"0": says("hi")}},
        {"messages": ["hi"]},
        {"messages": [{"content": "hi"}]},
        {"messages": [says("hi", role="boss")]},
        {"messages": [says("hi", role=["user"])]},
        {"messages": [{"role": "user", "parts": "hi"}]},
        {"messages": [{"role": "user", "parts": ["hi"]}]},
        {"messages": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {"id": 12},
        {"id": ""},
        {"id": "x" * 129},
        {"id": "a\x00b"},
        {"id": "a\nb"},
        {"id": "\ud83d"},
        {"messageId": []},
        {"client_key": "k" * 65},
        {"trigger": "resume-stream"},
        {"trigger": ["submit-message"]},
        {"stream": "no"},
        {"stream": None},
        {"model": 4},
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_shape_is_a_bad_request(change):
    with pytest.raises(BadRequest):
        chat({**V5, **change})


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [says("")],
        [says(" \n\t")],
        [says("x", "assistant")],
        [says("x", "system")],
        [says("first"), says("an answer", "assistant"), says("")],
        [{"role": "user", "parts": []}],
    ],
)
def test_nothing_to_answer_asks_for_a_message(messages):
    with pytest.raises(InvalidInput, match=r"^Write a message first\.$") as refused:
        chat({"messages": messages})
    assert refused.value.status == 422


def test_a_blank_prompt_asks_for_a_message():
    with pytest.raises(InvalidInput, match=r"^Write a message first\.$") as refused:
        parse_completion(b'{"prompt": "  "}')
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "parts": [{"type": "file", "mediaType": "image/png", "url": "data:,x"}]},
        says("", experimental_attachments=[{"url": "data:,x"}]),
        says([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]),
    ],
)
def test_a_message_of_files_alone_is_refused(message):
    with pytest.raises(InvalidInput, match="Files cannot be read") as refused:
        chat({"messages": [message]})
    assert refused.value.status == 422


def test_one_message_more_than_allowed_is_too_large():
    messages = [says("hi")] * 3
    assert len(chat({"messages": messages}, max_messages=3).turns) == 3
    with pytest.raises(TooLarge, match=r"Too many messages: 3 of 2\."):
        chat({"messages": messages}, max_messages=2)


@pytest.mark.parametrize("model", ["m" * 129, "gpt\n4", "\x00"])
def test_an_impossible_model_name_is_unknown(model):
    with pytest.raises(InvalidInput, match=r"Unknown model\.") as refused:
        chat({**TUTORIAL, "model": model})
    assert refused.value.status == 422


def test_unknown_keys_change_nothing_and_of_two_equal_keys_the_last_counts():
    greedy = {"base_url": "http://169.254.169.254", "api_key": "k", "system": "x", "temperature": 1e9, "n": 100}
    assert chat({**TUTORIAL, **greedy, "max_tokens": 10**9}) == chat(TUTORIAL)
    assert parse_completion(b'{"prompt": "a", "prompt": "b"}').prompt == "b"


def test_lone_surrogates_and_nul_become_replacement_characters():
    body = parse_completion(rb'{"prompt": "a\ud83d b\u0000 \ud83d\ude00\r\n"}')
    assert body.prompt == "a\N{REPLACEMENT CHARACTER} b\N{REPLACEMENT CHARACTER} 😀\n"


@pytest.mark.parametrize(
    ("raw", "given", "protocol"),
    [
        (b"{", None, ""),
        (b"{", "ui", "ui"),
        (b"{}", None, ""),
        (b"{}", "nonsense", ""),
        (json.dumps(V5).encode(), None, "ui"),
        (json.dumps({**TUTORIAL, "stream": False}).encode(), None, "sse"),
        (b'{"prompt": 1}', None, "text"),
        (b'{"messages": [3]}', None, "sse"),
    ],
)
def test_a_refusal_is_worded_for_whoever_asked(raw, given, protocol):
    assert protocol_of(raw, given) == protocol


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "message", "role", "content", "parts", "type", "text", "id", "trigger", "model"]
            ),
            inner,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(VALUES, st.sampled_from(["user", "assistant", None]))
def test_whatever_is_posted_is_read_or_refused(value, role):
    message = {"role": role, **value} if isinstance(value, dict) else {"role": role, "content": value}
    for body in (value, {"messages": value}, {"messages": [message]}, {"prompt": value}):
        raw = json.dumps(body).encode()
        protocol_of(raw)
        for parse in (lambda raw: parse_chat(raw, max_messages=5), parse_completion):
            try:
                parsed = parse(raw)
            except InvalidInput:
                continue
            assert parsed.prompt.strip()
            parsed.prompt.encode()
