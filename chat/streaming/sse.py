"""Framing of server-sent events as the WHATWG HTML standard reads them."""

from __future__ import annotations

import re

COMMENT_PING: bytes = b": ping\n\n"

_LINE_END = re.compile("\r\n|\r|\n")
_EVENT_ID = re.compile("[0-9]{1,10}", re.ASCII)
_LARGEST_ID = 2**31 - 1


def event(data: str, *, name: str = "", id: str = "", retry: int | None = None) -> bytes:  # noqa: A002
    """One event; every line of `data` gets a line of its own, so that any text survives.

    CR, LF and CRLF all arrive as LF. `retry` is in milliseconds.
    """
    head = (f"event: {name}\n" if name else "") + (f"id: {id}\n" if id else "")
    if retry is not None:
        head += f"retry: {retry}\n"
    body = _LINE_END.sub("\ndata: ", data) if "\n" in data or "\r" in data else data
    return f"{head}data: {body}\n\n".encode()


def parse_last_event_id(raw: str | None) -> int | None:
    """A count that fits 31 bits; None where the header is missing or anything else."""
    if raw is None or not _EVENT_ID.fullmatch(raw):
        return None
    number = int(raw)
    return number if number <= _LARGEST_ID else None
