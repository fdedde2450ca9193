"""The event log as bytes: one encoder for each protocol.

A new protocol is a module with an `Encoder` and a line in `ENCODERS`. Encoders are pure; they import events, errors,
text, Markdown and SSE framing only.
"""

from __future__ import annotations

from chat.streaming.encoders.base import Encoder
from chat.streaming.encoders.data import DataEncoder
from chat.streaming.encoders.html import HtmlEncoder
from chat.streaming.encoders.text import TextEncoder
from chat.streaming.encoders.tutorial import TutorialEncoder, TutorialJSONEncoder
from chat.streaming.encoders.ui import UIMessageEncoder

ENCODERS: dict[str, type[Encoder]] = {
    "html": HtmlEncoder,
    "text": TextEncoder,
    "sse": TutorialEncoder,
    "sse-json": TutorialJSONEncoder,
    "data": DataEncoder,
    "ui": UIMessageEncoder,
}
API_PROTOCOLS = tuple(name for name in ENCODERS if name != "html")
"""Those of the JSON API: the page's own protocol needs the page around it."""

__all__ = ["API_PROTOCOLS", "ENCODERS", "Encoder", "encoder_for"]


def encoder_for(protocol: str, *, message_id: object = "", after: int | None = None) -> Encoder:
    """An encoder for one of `ENCODERS`, to be given the log from its first event.

    `after` is the number of characters that the reader has seen: html, sse and sse-json leave them out, the others
    start again. None asks html for a snapshot. Raises `KeyError` for an unknown protocol.
    """
    return ENCODERS[protocol](message_id=str(message_id), after=after)
