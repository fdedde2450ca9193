"""What an entry of a generation's Redis Stream holds.

An entry's id is the number of events up to its end, and it says where it begins: what
is sent twice after a fault is refused by Redis, or dropped by the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage

_TYPES: dict[str, type[LogEvent]] = {kind.__name__: kind for kind in (Started, Delta, Reasoning, Finished, Failed)}


def key_of(message_id: UUID) -> str:
    return f"chat:log:{message_id}"


def encode(start: int, events: Sequence[LogEvent]) -> bytes:
    return orjson.dumps([start, [(type(event).__name__, event) for event in events]])


def decode(data: bytes) -> tuple[int, list[LogEvent]]:
    start, items = orjson.loads(data)
    return start, [_event(name, fields) for name, fields in items]


def _event(name: str, fields: dict[str, Any]) -> LogEvent:
    if fields.get("usage"):
        fields["usage"] = Usage(**fields["usage"])
    return _TYPES[name](**fields)
