"""What every log of a generation promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol
from uuid import UUID

from chat.events import LogEvent

INTERVAL = 0.05
"""Seconds within which text is merged."""
KEEP_AFTER_END = 300.0
IDLE = 5.0
PAUSE_AFTER_ERROR = 1.0


class LogMissing(Exception):
    """No log under this id can be read here: it never started, ended long ago, or its store does not answer."""


class EventLog(Protocol):
    def open(self, message_id: UUID) -> None: ...

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        """Add events. Must be called on the event loop; nothing may follow a last event."""

    def read(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        """All events from the first on, as they come, until the last one.

        After the first text it yields at most once in `every` seconds, but the end at once. Yields an empty list
        after at most `IDLE` seconds of silence, or after `wake`. Raises `LogMissing`, also in the middle.
        """

    def seconds_until_wanted(self, message_id: UUID) -> float:
        """How long no reader in this process wants more of a log that is written here."""

    def has_pages(self, message_id: UUID) -> bool:
        """Whether a page that this process serves reads a log that is written here."""

    def is_local(self, message_id: UUID) -> bool:
        """Whether this process writes the log, so that silence means that the provider is silent."""

    def wake(self, message_id: UUID) -> None:
        """Make every reader of this log yield."""

    async def close(self) -> None:
        """Write what is not yet written."""
