"""The entries of a generation's Redis Stream.

An entry's id is the number of events up to its end, and the entry says where it begins: what is sent twice after an
error is refused by Redis, or dropped by the reader. The names of the event types are a contract between processes of
different versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage

_CLASSES: dict[str, type[LogEvent]] = {
    "Started": Started,
    "Delta": Delta,
    "Reasoning": Reasoning,
    "Finished": Finished,
    "Failed": Failed,
}
_NAMES: dict[type[LogEvent], str] = {kind: name for name, kind in _CLASSES.items()}


def stream_key(message_id: UUID) -> str:
    return f"chat:log:{message_id}"


def encode(start: int, events: Sequence[LogEvent]) -> bytes:
    return orjson.dumps([start, [(_NAMES[type(event)], event) for event in events]])


def decode(data: bytes) -> tuple[int, list[LogEvent]]:
    start, items = orjson.loads(data)
    return start, [_event(name, fields) for name, fields in items]


def _event(name: str, fields: dict[str, Any]) -> LogEvent:
    if fields.get("usage"):
        fields["usage"] = Usage(**fields["usage"])
    return _CLASSES[name](**fields)
