"""From what the provider or the transport reports to one of our errors.

The provider's wording decides the class where its codes do not, and goes no further.
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
from chat.providers.request import OPTIONAL, OUTPUT_CAPS

LONGEST_WAIT = 86_400
PATIENCE = 2
RETRY_PAUSE = 0.3

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TOO_LONG = re.compile(
    r"context[ _]?(length|window|size)|maximum (context|input|prompt|model) length|max_model_len"
    r"|(prompt|input|conversation|messages?) (is|are) too long|too many (input |prompt )?tokens|prompt_too_long",
    re.IGNORECASE,
)
_CAP_TOO_LARGE = re.compile(r"max_(completion_)?tokens\W+(or \W?max_completion_tokens\W+)?is too large", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_(quota|credit|funds|balance)|billing|quota exceeded|out of credits", re.IGNORECASE)
_SETUP = re.compile(
    r"(invalid|incorrect|missing|no).{0,12}api.?key|authentication|model_not_found|model .{0,80}(not found|not exist)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFailure:
    """A request that brought no answer.

    `again_after` is the wait in seconds before the one more try that the fault allows,
    None where it allows none. `fields` are optional fields that the server named, which
    it turned down as such unless `for_model` says that only their value did not fit the model.
    """

    error: errors.ProviderError
    status: int | None = None
    again_after: float | None = None
    fields: frozenset[str] = frozenset()
    for_model: bool = False


def from_exception(exception: Exception) -> RequestFailure:
    """Of an exception raised before the success headers."""
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
        return RequestFailure(error=errors.ProviderUnreachable(), again_after=RETRY_PAUSE)
    return RequestFailure(error=errors.ProviderInterrupted())


def from_response(response: httpx2.Response) -> RequestFailure:
    """Of a response that is no success; its body has been read."""
    status, words = response.status_code, _words(_json(response.content))
    wait = retry_after(response.headers)
    if status == 429 or status >= 500:
        return _busy(status, words, wait)
    if status in (400, 413, 422):
        return _unaccepted(status, words)
    if status == 402:
        return RequestFailure(error=errors.ProviderQuotaExceeded(), status=status)
    if status == 408:
        return RequestFailure(error=errors.ProviderTimeout(retry_after=wait), status=status)
    if status in (401, 403, 404, 405) or status < 400:
        return RequestFailure(error=errors.ProviderMisconfigured(), status=status)
    return RequestFailure(error=errors.ProviderRejected(), status=status)


def from_error_event(event: object) -> errors.ProviderError:
    """Of an error the provider sent inside a stream."""
    words = _words(event)
    if _TOO_LONG.search(words):
        return errors.ContextTooLong()
    if _QUOTA.search(words):
        return errors.ProviderQuotaExceeded()
    return errors.ProviderInterrupted()


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds, rounded up, from milliseconds, seconds or a date; None if absent or nonsense."""
    wait = _number(headers.get("retry-after-ms"), 0.001)
    raw = headers.get("retry-after")
    if wait is None:
        wait = _number(raw, 1)
    if wait is None and raw:
        try:
            wait = max(0.0, parsedate_to_datetime(raw).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return None
    return None if wait is None else min(math.ceil(wait), LONGEST_WAIT)


def _number(raw: str | None, unit: float) -> float | None:
    if not raw or not _NUMBER.fullmatch(raw.strip()):
        return None
    return float(raw) * unit


def _busy(status: int, words: str, wait: int | None) -> RequestFailure:
    if status == 429 and _QUOTA.search(words):
        return RequestFailure(error=errors.ProviderQuotaExceeded(), status=status)
    error = errors.ProviderBusy(retry_after=wait)
    if wait is not None:
        return RequestFailure(error=error, status=status, again_after=wait if wait <= PATIENCE else None)
    return RequestFailure(error=error, status=status, again_after=None if status == 429 else RETRY_PAUSE)


def _unaccepted(status: int, words: str) -> RequestFailure:
    if _CAP_TOO_LARGE.search(words):
        error = errors.ContextTooLong() if _TOO_LONG.search(words) else errors.ProviderRejected()
        return RequestFailure(error=error, status=status, fields=frozenset(OUTPUT_CAPS), for_model=True)
    if _TOO_LONG.search(words):
        return RequestFailure(error=errors.ContextTooLong(), status=status)
    if _SETUP.search(words):
        return RequestFailure(error=errors.ProviderMisconfigured(), status=status)
    fields = frozenset(name for name in OPTIONAL if _names(name, words))
    return RequestFailure(error=errors.ProviderRejected(), status=status, fields=fields)


def _names(field: str, words: str) -> bool:
    if field == "store":
        return re.search(r"['\"`]store['\"`]|^store$", words, re.MULTILINE) is not None
    alias = "|include_usage" if field == "stream_options" else ""
    return re.search(rf"(?<![a-z_])({field}{alias})(?![a-z_])", words) is not None


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _words(body: object) -> str:
    """The codes and messages of an error body, one a line, without the request that some servers echo in it."""
    return "\n".join(_strings(body, 4))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:4096]
    elif depth and isinstance(value, dict):
        for name in ("error", "message", "code", "type", "param", "detail", "msg", "loc", "object"):
            yield from _strings(value.get(name), depth - 1)
    elif depth and isinstance(value, list):
        for each in value[:20]:
            yield from _strings(each, depth - 1)
