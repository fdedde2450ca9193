"""The log of a generation as bytes, one encoder for each kind of client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from chat.events import LogEvent
from chat.streaming.encoders.data import DataLinesEncoder
from chat.streaming.encoders.text import TextEncoder
from chat.streaming.encoders.tutorial import TutorialEncoder, TutorialJSONEncoder
from chat.streaming.encoders.ui import UIMessageEncoder

PROTOCOLS = ("text", "sse", "sse-json", "data", "ui")


class Encoder(Protocol):
    """The state of one response; not shared between viewers.

    `headers` go with the response; `heartbeat` fills silence and may be empty. Where
    `breaks_on_failure`, the caller must break the connection off after `Failed`: a tidy
    end would mean a whole answer.
    """

    content_type: str
    headers: dict[str, str]
    heartbeat: bytes
    breaks_on_failure: bool

    def open(self) -> bytes:
        """What is sent at once, before there is an event; may be empty."""

    def encode(self, events: Sequence[LogEvent]) -> bytes:
        """One write for the events of one wake-up, in the log's order; empty if there is nothing to say."""


def encoder_for(protocol: str, *, after: int = 0) -> Encoder:
    """An encoder for one of `PROTOCOLS`, to be fed the log from its first event.

    `after` is the last event id an `sse` or `sse-json` client has seen: what came up to there
    is left out. The others know no such id and replay. Raises KeyError for another protocol.
    """
    if protocol == "sse":
        return TutorialEncoder(after)
    if protocol == "sse-json":
        return TutorialJSONEncoder(after)
    replaying: dict[str, Callable[[], Encoder]] = {
        "text": TextEncoder,
        "data": DataLinesEncoder,
        "ui": UIMessageEncoder,
    }
    return replaying[protocol]()
