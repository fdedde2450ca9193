"""Bodies of errors before a stream, in the format of each protocol."""

from __future__ import annotations

import re

import orjson
from django.utils.translation import gettext as _

from chat.errors import ChatError, LimiterUnavailable, LimitExceeded

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"
PROBLEM = "application/problem+json"

# Problem types of draft-ietf-httpapi-ratelimit-headers.
_TYPES = {
    LimitExceeded.code: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    LimiterUnavailable.code: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
}


def sentence(message: str, retry_after: int | None) -> str:
    """The message, with the seconds to wait where it does not name them: the AI SDK shows no headers."""
    if retry_after is None or re.search(rf"\b{retry_after}\b", message):
        return message
    wait = _("Try again in %(seconds)d s.") % {"seconds": retry_after}
    return f"{message} {wait}"


def problem(code: str, message: str, retry_after: int | None = None) -> dict[str, object]:
    """An RFC 9457 problem without its status; `code` is one of `chat.errors`."""
    members: dict[str, object] = {
        "type": _TYPES.get(code, "about:blank"),
        "title": message,
        "detail": sentence(message, retry_after),
        "code": code,
    }
    if retry_after is not None:
        members["retry_after"] = retry_after
    return members


def body(protocol: str, error: ChatError) -> tuple[str, bytes]:
    """Content type and body of a refusal before the first byte of a stream.

    `protocol` is one of `chat.streaming.encoders.API_PROTOCOLS`; any other caller gets a problem document. The AI SDK
    shows the whole body as the error's message, so its dialects get one sentence.
    """
    if protocol in ("text", "data", "ui"):
        return PLAIN, sentence(error.message, error.retry_after).encode()
    if protocol in ("sse", "sse-json"):
        shown = sentence(error.message, error.retry_after)
        return JSON, orjson.dumps({"error": shown, "retry_after": error.retry_after})
    members = problem(error.code, error.message, error.retry_after) | {"status": error.status}
    if isinstance(error, LimitExceeded):
        members["violated-policies"] = [each.name for each in error.violations]
    return PROBLEM, orjson.dumps(members)
