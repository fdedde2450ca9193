"""The JSON API described in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from chat.answers.client_chats import MAX_ID_LENGTH
from chat.api.bodies import MAX_KEY_LENGTH
from chat.streaming.encoders import API_PROTOCOLS

Json = dict[str, Any]

REFUSALS = {
    "400": "The body or the address is not what this API reads.",
    "401": "No session and no valid key.",
    "403": "A session without its CSRF token, or a page of another site.",
    "404": "The chat was deleted.",
    "409": "An answer is running in this chat, or the same client key came with another text.",
    "413": "Larger than a megabyte, or too many messages.",
    "422": "An empty or too long message, one of files alone, or an unknown model.",
    "429": "A limit of the caller's plan. `Retry-After` says when to come back.",
    "502": "The model service failed before the first word.",
    "503": "The site is restarting, or the model service is busy.",
    "504": "The model service did not answer in time.",
}
HEADERS = {
    "RateLimit": {"schema": {"type": "string"}, "description": "What is left of each limit, tightest first."},
    "RateLimit-Policy": {"schema": {"type": "string"}, "description": "The limits, tightest first."},
}
UNNAMEABLE = {"404": {"description": "A name with a line end in it, which no chat can have."}}
KEY_HEADER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}


def description(base: str) -> Json:
    """The document for a site whose address is `base`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chatsite", "version": "1", "summary": "Answers of a language model as streams."},
        "servers": [{"url": base}],
        "security": [{"key": []}, {"session": [], "csrf": []}],
        "paths": {
            "/api/chat": {"post": _chat(), "get": _resume_by_query()},
            "/api/chat/{chat_id}/stream": {"parameters": [_chat_id()], "get": _resume()},
            "/api/chat/{chat_id}/stop": {"parameters": [_chat_id()], "post": _stop()},
            "/api/completion": {"post": _completion()},
        },
        "components": {"schemas": _schemas(), "securitySchemes": _security()},
    }


def _chat() -> Json:
    return {
        "operationId": "chat",
        "summary": "Ask, edit or regenerate",
        "description": "A body with an `id` belongs to the caller's conversation of that name, which is made where it "
        "is new; the last user message counts. Without an `id` the messages are the whole history.",
        "parameters": [_protocol(), _stream_switch(), _resumable()],
        "requestBody": _json("ChatBody"),
        "responses": _answers() | _refusals(*REFUSALS),
    }


def _completion() -> Json:
    return {
        "operationId": "completion",
        "summary": "Complete one prompt",
        "parameters": [_protocol(), _stream_switch(), _resumable()],
        "requestBody": _json("CompletionBody"),
        "responses": _answers() | _refusals(*(status for status in REFUSALS if status != "404")),
    }


def _resume() -> Json:
    return {
        "operationId": "resume",
        "summary": "The running answer of a chat, from its start",
        "parameters": [_protocol(), _resumable()],
        "responses": _answers()
        | {"204": {"description": "Nothing runs."}}
        | UNNAMEABLE
        | _refusals("400", "401", "403", "503"),
    }


def _resume_by_query() -> Json:
    return {
        "operationId": "resumeByQuery",
        "summary": "As the hook of version 4 resumes; an empty answer where nothing runs",
        "parameters": [
            {"name": "chatId", "in": "query", "required": True, "schema": _identifier()},
            _protocol(),
            _resumable(),
        ],
        "responses": _answers()
        | {"204": {"description": "Nothing runs."}, "405": {"description": "No `chatId`."}}
        | _refusals("400", "401", "403", "503"),
    }


def _stop() -> Json:
    return {
        "operationId": "stop",
        "summary": "End the running answer of a chat",
        "responses": {"204": {"description": "Nothing runs any more."}} | UNNAMEABLE | _refusals("401", "403", "503"),
    }


def _chat_id() -> Json:
    return {"name": "chat_id", "in": "path", "required": True, "schema": _identifier()}


def _protocol() -> Json:
    return _query("protocol", {"type": "string", "enum": list(API_PROTOCOLS)}, "How to answer; else the body tells.")


def _stream_switch() -> Json:
    return _query("stream", {"type": "string", "enum": ["0", "1"]}, "0: the whole answer at once.")


def _resumable() -> Json:
    return _query("resume", {"type": "string", "enum": ["0", "1"]}, "1: the answer goes on when the client leaves.")


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _json(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _answers() -> Json:
    text = {"schema": {"type": "string"}}
    return {
        "200": {
            "description": "The answer. Plain text that breaks off without a last chunk is not whole.",
            "headers": HEADERS,
            "content": {"text/event-stream": text, "text/plain": text},
        }
    }


def _refusals(*statuses: str) -> Json:
    content = {
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}},
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    }
    refusals = {status: {"description": REFUSALS[status], "content": content} for status in statuses}
    for status in ("429", "503"):
        if status in refusals:
            refusals[status]["headers"] = KEY_HEADER
    return refusals


def _identifier() -> Json:
    return {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}


def _schemas() -> Json:
    prompt = {"type": "string", "minLength": 1, "maxLength": settings.CHAT_MAX_PROMPT_CHARS}
    shared = {
        "model": {"type": ["string", "null"], "maxLength": MAX_ID_LENGTH},
        "stream": {"type": "boolean"},
        "client_key": {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    }
    message = {"$ref": "#/components/schemas/Message"}
    return {
        "ChatBody": {
            "type": "object",
            "properties": {
                "id": _nullable(_identifier()),
                "messages": {"type": "array", "items": message, "maxItems": settings.CHAT_MAX_MESSAGES},
                "message": message,
                "trigger": {"enum": ["submit-message", "regenerate-message"]},
                "messageId": _nullable(_identifier()),
                **shared,
            },
            "anyOf": [{"required": ["messages"]}, {"required": ["message"]}],
        },
        "CompletionBody": {"type": "object", "properties": {"prompt": prompt, **shared}, "required": ["prompt"]},
        "Message": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "role": {"enum": ["user", "assistant", "system", "developer", "function", "tool", "data"]},
                "content": {"anyOf": [{"type": "string"}, _parts()]},
                "parts": _parts(),
            },
            "required": ["role"],
            "anyOf": [{"required": ["content"]}, {"required": ["parts"]}],
        },
        "Refusal": {
            "type": "object",
            "properties": {"error": {"type": "string"}, "retry_after": {"type": ["integer", "null"]}},
            "required": ["error", "retry_after"],
        },
        "Problem": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "detail": {"type": "string"},
                "status": {"type": "integer"},
                "code": {"type": "string"},
                "retry_after": {"type": "integer"},
            },
            "required": ["type", "title", "status", "code"],
        },
    }


def _parts() -> Json:
    text = {"properties": {"type": {"const": "text"}, "text": {"type": "string"}}, "required": ["type", "text"]}
    other = {"properties": {"type": {"enum": ["step-start", "reasoning", "file"]}}, "required": ["type"]}
    return {"type": "array", "items": {"type": "object", "anyOf": [text, other]}}


def _nullable(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _security() -> Json:
    return {
        "key": {"type": "http", "scheme": "bearer", "description": "A personal API key."},
        "session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
        "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
    }
