"""Structured logs: one JSON object a line, with a request id, without secrets.

Field names follow the OpenTelemetry conventions (`gen_ai.*`, `http.*`) where they have one.
Prompts, answers and keys are never passed to a logger; the filter below is the second line.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import uuid
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = set(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_SECRETS = re.compile(
    r"\b(sk|cs)[-_][A-Za-z0-9_\-]{6,}"
    r"|(?i:\bbearer\s+)[^\s\"',]+"
    r"|(?i:(sessionid|csrftoken|csrfmiddlewaretoken|token|api_key|password|authorization)[=:]\s*)[^\s\"',;&]+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def redacted(text: str) -> str:
    return _SECRETS.sub("[redacted]", text)


def one_line(text: str) -> str:
    """Control characters escaped: nothing that is logged can forge a line or drive a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def new_request_id(given: str | None) -> str:
    """The proxy's id where it sent a plain one, else a fresh one."""
    if given and re.fullmatch(r"[A-Za-z0-9._-]{8,64}", given):
        return given
    return uuid.uuid4().hex[:16]


class JsonFormatter(logging.Formatter):
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
    """For a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        current = request_id.get()
        return one_line(redacted(super().formatMessage(record))) + (f" [{current}]" if current else "")

    def formatException(self, ei: object) -> str:
        return redacted(super().formatException(ei))  # type: ignore[arg-type]
