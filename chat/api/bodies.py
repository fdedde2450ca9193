"""Bodies of the JSON API, parsed into one value.

Only the keys named here are read: whatever else a body holds (a system prompt, a base URL, sampling options) is
ignored. The standard library parses, because orjson refuses the escape of a lone surrogate, which must be accepted and
replaced.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from chat.answers.client_chats import MAX_ID_LENGTH, ChatBody, Trigger, message_key
from chat.errors import BadRequest, InvalidInput, TooLarge
from chat.streaming.encoders import API_PROTOCOLS
from chat.text import clean_text

_TRIGGERS: dict[str, Trigger] = {"submit-message": "submit", "regenerate-message": "regenerate"}
_TURNS = ("user", "assistant")
_DROPPED = ("system", "developer", "function", "tool", "data")
MAX_KEY_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class _Message:
    id: str | None
    role: str
    text: str
    has_files: bool


def parse_chat(raw: bytes, *, protocol: str | None = None, stream: bool | None = None, max_messages: int) -> ChatBody:
    """The body of `POST /api/chat`. `protocol` and `stream` are those of the address, which win.

    Raises BadRequest for what is not the format, InvalidInput for what cannot be answered,
    TooLarge for more than `max_messages`.
    """
    body = _object(raw)
    messages = [_message(each) for each in _posted(body, max_messages)]
    turns = _turns(messages)
    chat_id, message_id, trigger = _id(body, "id"), _id(body, "messageId"), _trigger(body)
    streamed = _streamed(body, stream)
    key, question_key = _key(body), message_key(chat_id, _last_user(messages).id)
    if key is None and trigger == "submit" and message_id is None:
        key = question_key
    return ChatBody(
        protocol=_protocol(body, protocol, streamed),
        stream=streamed,
        chat_id=chat_id,
        turns=turns,
        trigger=trigger,
        marked="trigger" in body,
        message_id=message_id,
        prompt=turns[-1][1],
        model=_model(body),
        client_key=key,
        question_key=question_key,
    )


def parse_completion(raw: bytes, *, protocol: str | None = None, stream: bool | None = None) -> ChatBody:
    """The body of `POST /api/completion`. Raises as `parse_chat`."""
    body = _object(raw)
    prompt = _written(_text(body.get("prompt")))
    streamed = _streamed(body, stream)
    return ChatBody(
        protocol=_protocol(body, protocol, streamed),
        stream=streamed,
        chat_id=None,
        turns=(("user", prompt),),
        trigger="submit",
        message_id=None,
        prompt=prompt,
        model=_model(body),
        client_key=_key(body),
    )


def protocol_of(raw: bytes, given: str | None = None) -> str:
    """The protocol in whose format to answer an error; empty where it cannot be known. Never raises."""
    if given is not None:
        return given if given in API_PROTOCOLS else ""
    try:
        return _detected(_object(raw))
    except BadRequest:
        return ""


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest from None
    if not isinstance(body, dict):
        raise BadRequest
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _posted(body: dict[str, Any], max_messages: int) -> list[object]:
    """All messages, or the last one alone, as the widespread variant of the v5 transport sends it."""
    messages = body["messages"] if "messages" in body else [body.get("message")]
    if not isinstance(messages, list):
        raise BadRequest
    if len(messages) > max_messages:
        raise TooLarge(
            _("Too many messages: %(count)d of %(limit)d.") % {"count": len(messages), "limit": max_messages}
        )
    return messages


def _message(value: object) -> _Message:
    if not isinstance(value, dict):
        raise BadRequest
    role = value.get("role")
    if role in _DROPPED:
        return _Message(id=None, role=role, text="", has_files=False)
    if role not in _TURNS:
        raise BadRequest
    parts = _parts(value)
    files = any(part["type"] in ("file", "image", "image_url", "input_file") for part in parts)
    return _Message(
        id=value["id"] if isinstance(value.get("id"), str) else None,
        role=role,
        text=_content(value, parts),
        has_files=files or bool(value.get("experimental_attachments")),
    )


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    parts = content if isinstance(content, list) else message.get("parts")
    if parts is None:
        return []
    if not isinstance(parts, list):
        raise BadRequest
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise BadRequest
    return parts


def _content(message: dict[str, Any], parts: Sequence[dict[str, Any]]) -> str:
    """The text; 4.x sends it twice, as `content` and in `parts`."""
    content = message.get("content")
    if isinstance(content, str) and content:
        return clean_text(content)
    if content is None and "parts" not in message:
        # An assistant that called a function said nothing; from a person null is no message.
        if message["role"] == "assistant":
            return ""
        raise BadRequest
    if not isinstance(content, str | list | None):
        raise BadRequest
    return "".join([_text(part.get("text")) for part in parts if part["type"] == "text"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadRequest
    return clean_text(value)


def _last_user(messages: Sequence[_Message]) -> _Message:
    last = next((message for message in reversed(messages) if message.role == "user"), None)
    if last is None:
        raise InvalidInput(_("Write a message first."))
    return last


def _turns(messages: Sequence[_Message]) -> tuple[tuple[str, str], ...]:
    last = _last_user(messages)
    if last.has_files and not last.text.strip():
        raise InvalidInput(_("Files cannot be read here. Write a message."))
    _written(last.text)
    turns = [(message.role, message.text) for message in messages if message.role in _TURNS and message.text.strip()]
    while turns[-1][0] != "user":
        turns.pop()
    return tuple(turns)


def _written(text: str) -> str:
    if not text.strip():
        raise InvalidInput(_("Write a message first."))
    return text


def _protocol(body: dict[str, Any], given: str | None, streamed: bool) -> str:
    if given is not None:
        if given not in API_PROTOCOLS:
            raise BadRequest(_("Unknown protocol."))
        return given
    found = _detected(body)
    # The tutorial's variant that does not stream answers in plain text.
    return "text" if found == "sse" and not streamed else found


def _detected(body: dict[str, Any]) -> str:
    if "messages" not in body and "message" not in body:
        return "text" if "prompt" in body else ""
    if "trigger" in body:
        return "ui"
    messages = body["messages"] if isinstance(body.get("messages"), list) else [body.get("message")]
    last = messages[-1] if messages and isinstance(messages[-1], dict) else {}
    if "parts" in last and not isinstance(last.get("content"), str):
        return "ui"
    return "sse" if body.get("id") is None else "data"


def _streamed(body: dict[str, Any], given: bool | None) -> bool:
    posted = body.get("stream", True)
    if not isinstance(posted, bool):
        raise BadRequest
    return posted if given is None else given


def _trigger(body: dict[str, Any]) -> Trigger:
    posted = body.get("trigger", "submit-message")
    if not isinstance(posted, str) or posted not in _TRIGGERS:
        raise BadRequest
    return _TRIGGERS[posted]


def _id(values: dict[str, Any], name: str) -> str | None:
    return _name(values.get(name), MAX_ID_LENGTH)


def _key(body: dict[str, Any]) -> str | None:
    return _name(body.get("client_key"), MAX_KEY_LENGTH)


def _name(value: object, longest: int) -> str | None:
    """A client-made identifier: something a database stores and a log shows on one line."""
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise BadRequest
    return value


def _model(body: dict[str, Any]) -> str:
    model = body.get("model", "")
    if model is None:
        return ""
    if not isinstance(model, str):
        raise BadRequest
    if len(model) > MAX_ID_LENGTH or not model.isprintable():
        raise InvalidInput(_("Unknown model."))
    return model
