"""The append-only log of each generation, read by any number of readers.

Text reaches the log at once when nothing was written for `INTERVAL`, else merged with what follows within it: a reader
wakes at most twenty times a second.

Public: `event_log()`, `EventLog` (open, append, read), `LogMissing`. Others read answers through
`chat.streaming.reader`, which also knows those that have left the log. May import: infra, events.
"""

from __future__ import annotations

from django.conf import settings

from chat.eventlog.base import IDLE, INTERVAL, EventLog, LogMissing
from chat.eventlog.memory import MemoryEventLog, merged
from chat.eventlog.redis import RedisEventLog
from chat.infra.process import process

__all__ = ["IDLE", "INTERVAL", "EventLog", "LogMissing", "MemoryEventLog", "RedisEventLog", "event_log", "merged"]


def create_event_log() -> EventLog:
    return RedisEventLog(settings.REDIS_URL, settings.REDIS_SENTINELS) if settings.REDIS_URL else MemoryEventLog()


def event_log() -> EventLog:
    """The log of the running event loop: in memory, and shared through Redis where `REDIS_URL` is set."""
    return process.loop_part(create_event_log)
