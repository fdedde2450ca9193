"""What every log of a generation promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol
from uuid import UUID

from chat.events import Delta, LogEvent, Reasoning

INTERVAL = 0.05
KEEP_AFTER_END = 300.0
IDLE = 5.0
PAUSE_AFTER_FAULT = 1.0


class LogMissing(Exception):
    """No log under this id can be read here: never started, ended long ago, or its store is away."""


class EventLog(Protocol):
    def open(self, message_id: UUID) -> None: ...

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        """Adds events; must be called on the event loop. Nothing may follow a last event."""

    def tail(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        """All events from the first on, as they come, until the last one.

        From the first words on it yields once in `every` seconds at most, but the end at once.
        Yields an empty list after a silence of at most `IDLE` seconds, or after `nudge`.
        Raises `LogMissing`, also in the middle.
        """

    def rest(self, message_id: UUID) -> float:
        """Seconds until a reader in this process may want more of a log that is written here."""

    def has_pages(self, message_id: UUID) -> bool:
        """Whether a page that this process serves follows a log that is written here."""

    def is_local(self, message_id: UUID) -> bool:
        """Whether this process writes the log, so that silence means that the model is silent."""

    def nudge(self, message_id: UUID) -> None:
        """Makes every tail of this log yield, so that viewers look around."""

    async def close(self) -> None:
        """Hands over what is not yet written."""


def merged(events: Sequence[LogEvent]) -> list[LogEvent]:
    """Neighbouring pieces of text made one."""
    result: list[LogEvent] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            result[-1] = Delta(text=last.text + event.text)
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            result[-1] = Reasoning(text=last.text + event.text)
        else:
            result.append(event)
    return result
