"""Log formatters: one JSON object a line, with the request id and without secrets; plain lines for a terminal.

Field names follow the OpenTelemetry conventions (`gen_ai.*`, `http.*`) where these have a name for the field.
Prompts, answers and keys are never passed to a logger; `redacted` is a second safeguard, for exceptions of libraries.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import uuid
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Set by `chatsite.middleware.request_log`."""

_STANDARD = set(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_SECRETS = re.compile(
    r"\b(sk|cs)[-_][A-Za-z0-9_\-]{6,}"
    r"|(?i:\bbearer\s+)[^\s\"',]+"
    r"|(?i:(sessionid|csrftoken|csrfmiddlewaretoken|token|api_key|password|authorization)[=:]\s*)[^\s\"',;&]+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def redacted(text: str) -> str:
    """The text without API keys, bearer tokens, and values of parameters that hold a secret."""
    return _SECRETS.sub("[redacted]", text)


def one_line(text: str) -> str:
    """The text with control characters escaped: no value can forge a log line or send commands to a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def new_request_id(given: str | None) -> str:
    """The id that a proxy sent in `X-Request-ID`, if it has 8 to 64 harmless characters; else a new one."""
    if given and re.fullmatch(r"[A-Za-z0-9._-]{8,64}", given):
        return given
    return uuid.uuid4().hex[:16]


class JsonFormatter(logging.Formatter):
    """Fields given as `extra` are included if they are text, numbers or booleans."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if current := request_id.get():
            fields["request_id"] = current
        fields |= {
            name: redacted(value) if isinstance(value, str) else value
            for name, value in record.__dict__.items()
            if name not in _STANDARD and isinstance(value, str | int | float | bool)
        }
        if record.exc_info:
            fields["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


class LineFormatter(logging.Formatter):
    """One line for a terminal, with the request id at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        current = request_id.get()
        return one_line(redacted(super().formatMessage(record))) + (f" [{current}]" if current else "")

    def formatException(self, ei: object) -> str:
        return redacted(super().formatException(ei))  # type: ignore[arg-type]
