"""Convert what the provider or the transport reports into the errors of `chat.errors`.

Where its codes are not enough, the provider's text decides the class. The text is never stored, logged or shown.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
import orjson

from chat import errors
from chat.providers.request import OPTIONAL_FIELDS, OUTPUT_LIMIT_FIELDS

MAX_RETRY_AFTER = 86_400
"""Seconds. A longer wait is reported as this one."""
MAX_RETRY_WAIT = 2
"""Seconds. A provider that wants a longer wait is not asked a second time."""
RETRY_PAUSE = 0.3
"""Seconds before the second try where the provider does not say when."""

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TOO_LONG = re.compile(
    r"context[ _]?(length|window|size)|maximum (context|input|prompt|model) length|max_model_len"
    r"|(prompt|input|conversation|messages?) (is|are) too long|too many (input |prompt )?tokens|prompt_too_long",
    re.IGNORECASE,
)
_OUTPUT_LIMIT_TOO_LARGE = re.compile(
    r"max_(completion_)?tokens\W+(or \W?max_completion_tokens\W+)?is too large", re.IGNORECASE
)
_QUOTA = re.compile(r"insufficient_(quota|credit|funds|balance)|billing|quota exceeded|out of credits", re.IGNORECASE)
_CONFIGURATION = re.compile(
    r"(invalid|incorrect|missing|no).{0,12}api.?key|authentication|model_not_found|model .{0,80}(not found|not exist)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFailure:
    """A request that was not answered with a stream.

    `retry_after_seconds` is the wait before a second try, None where a second try would not help.
    `rejected_fields` are the optional fields that the server named in its refusal; with `model_specific` it refused
    only their value, for this model.
    """

    error: errors.ProviderError
    status: int | None = None
    retry_after_seconds: float | None = None
    rejected_fields: frozenset[str] = frozenset()
    model_specific: bool = False


def from_exception(exception: Exception) -> RequestFailure:
    """The failure for an exception of openai or httpx2 that was raised before the headers of a success."""
    if isinstance(exception, openai.APIStatusError):
        return from_response(exception.response)
    cause = exception.__cause__ if isinstance(exception, openai.APIConnectionError) else exception
    if isinstance(cause, httpx2.TimeoutException | TimeoutError):
        return RequestFailure(error=errors.ProviderTimeout())
    if isinstance(cause, httpx2.ConnectError | httpx2.ProxyError):
        return RequestFailure(error=errors.ProviderUnreachable())
    if isinstance(cause, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | UnicodeError):
        return RequestFailure(error=errors.ProviderMisconfigured())
    if isinstance(cause, httpx2.NetworkError):
        return RequestFailure(error=errors.ProviderUnreachable(), retry_after_seconds=RETRY_PAUSE)
    return RequestFailure(error=errors.ProviderInterrupted())


def from_response(response: httpx2.Response) -> RequestFailure:
    """The failure for a response that is not a success and whose body has been read."""
    status, text = response.status_code, _error_text(_json(response.content))
    retry_after = parse_retry_after(response.headers)
    if status == 429 or status >= 500:
        return _busy(status, text, retry_after)
    if status in (400, 413, 422):
        return _rejected(status, text)
    if status == 402:
        return RequestFailure(error=errors.ProviderQuotaExceeded(), status=status)
    if status == 408:
        return RequestFailure(error=errors.ProviderTimeout(retry_after=retry_after), status=status)
    if status in (401, 403, 404, 405) or status < 400:
        return RequestFailure(error=errors.ProviderMisconfigured(), status=status)
    return RequestFailure(error=errors.ProviderRejected(), status=status)


def from_error_event(event: object) -> errors.ProviderError:
    """The error for an error object that the provider sent inside a stream."""
    text = _error_text(event)
    if _TOO_LONG.search(text):
        return errors.ContextTooLong()
    if _QUOTA.search(text):
        return errors.ProviderQuotaExceeded()
    return errors.ProviderInterrupted()


def parse_retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds, rounded up, of `retry-after-ms` or of `Retry-After`: seconds or a date (RFC 9110, 10.2.3).

    None where neither header can be parsed.
    """
    seconds = _number(headers.get("retry-after-ms"), 0.001)
    value = headers.get("retry-after")
    if seconds is None:
        seconds = _number(value, 1)
    if seconds is None and value:
        try:
            seconds = max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return None
    return None if seconds is None else min(math.ceil(seconds), MAX_RETRY_AFTER)


def _number(value: str | None, unit: float) -> float | None:
    if not value or not _NUMBER.fullmatch(value.strip()):
        return None
    return float(value) * unit


def _busy(status: int, text: str, retry_after: int | None) -> RequestFailure:
    if status == 429 and _QUOTA.search(text):
        return RequestFailure(error=errors.ProviderQuotaExceeded(), status=status)
    pause: float | None = None if status == 429 else RETRY_PAUSE
    if retry_after is not None:
        pause = retry_after if retry_after <= MAX_RETRY_WAIT else None
    return RequestFailure(error=errors.ProviderBusy(retry_after=retry_after), status=status, retry_after_seconds=pause)


def _rejected(status: int, text: str) -> RequestFailure:
    too_long = bool(_TOO_LONG.search(text))
    if _OUTPUT_LIMIT_TOO_LARGE.search(text):
        return RequestFailure(
            error=errors.ContextTooLong() if too_long else errors.ProviderRejected(),
            status=status,
            rejected_fields=frozenset(OUTPUT_LIMIT_FIELDS),
            model_specific=True,
        )
    if too_long:
        return RequestFailure(error=errors.ContextTooLong(), status=status)
    if _CONFIGURATION.search(text):
        return RequestFailure(error=errors.ProviderMisconfigured(), status=status)
    fields = frozenset(name for name in OPTIONAL_FIELDS if _mentions(text, name))
    return RequestFailure(error=errors.ProviderRejected(), status=status, rejected_fields=fields)


def _mentions(text: str, field: str) -> bool:
    if field == "store":  # also an English word
        return re.search(r"['\"`]store['\"`]|^store$", text, re.MULTILINE) is not None
    alias = "|include_usage" if field == "stream_options" else ""
    return re.search(rf"(?<![a-z_])({field}{alias})(?![a-z_])", text) is not None


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _error_text(body: object) -> str:
    """The codes and messages of an error object, one a line, without the request, which some servers repeat in it."""
    return "\n".join(_strings(body, depth=4))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:4096]
    elif depth and isinstance(value, dict):
        for name in ("error", "message", "code", "type", "param", "detail", "msg", "loc", "object"):
            yield from _strings(value.get(name), depth - 1)
    elif depth and isinstance(value, list):
        for item in value[:20]:
            yield from _strings(item, depth - 1)
