"""What every encoder does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from chat.errors import Conflict
from chat.events import Failed, LogEvent


class Encoder(ABC):
    """The state of one response; not shared between readers. Encoders are pure: no I/O, no clock.

    `headers` go with the response. `heartbeat` fills silence and may be empty. `interval` is how many seconds a reader
    wants between two frames. Where `breaks_on_failure`, the connection must be aborted after `Failed`: a normal end
    would mean a whole answer.
    """

    content_type: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}
    heartbeat: ClassVar[bytes] = b""
    interval: ClassVar[float] = 0.0
    breaks_on_failure: ClassVar[bool] = False

    def __init__(self, *, message_id: str = "", after: int | None = None) -> None:
        """`after` is the number of characters that the reader has seen; see `encoder_for`."""
        self.message_id = message_id
        self.after = after

    def open(self) -> bytes:
        """What is sent before there is an event."""
        return b""

    @abstractmethod
    def encode(self, events: Sequence[LogEvent]) -> bytes:
        """One write for these events, which come in the log's order from its first; empty where nothing is to be sent.

        Without events: what was held back.
        """

    def abort(self) -> bytes:
        """The end of a stream without the end of its log: the answer was deleted, or its reader may not read on."""
        error = Conflict()
        return self.encode([Failed(status="interrupted", code=error.code, message=error.message)])
