"""Framing of server-sent events as the WHATWG HTML standard reads them."""

from __future__ import annotations

import re

COMMENT_PING = b": ping\n\n"

_LINE_END = re.compile("\r\n|\r|\n")


def event(data: str, *, name: str = "", id: str = "") -> bytes:  # noqa: A002
    """One event; every line of `data` gets a line of its own, so that any text survives."""
    head = (f"event: {name}\n" if name else "") + (f"id: {id}\n" if id else "")
    body = _LINE_END.sub("\ndata: ", data) if "\n" in data or "\r" in data else data
    return f"{head}data: {body}\n\n".encode()
