"""The append-only log of each generation, tailed by any number of viewers.

Text reaches the log at once when nothing was written for `INTERVAL`, else merged
with what follows within it: a viewer wakes at most twenty times a second.
"""

from __future__ import annotations

import asyncio
import weakref

from django.conf import settings

from chat.eventlog.base import IDLE, INTERVAL, EventLog, LogMissing, merged
from chat.eventlog.memory import MemoryEventLog
from chat.eventlog.redis import RedisEventLog

__all__ = ["IDLE", "INTERVAL", "EventLog", "LogMissing", "MemoryEventLog", "RedisEventLog", "event_log", "merged"]

_LOGS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, EventLog] = weakref.WeakKeyDictionary()


def event_log() -> EventLog:
    """The log of the running event loop: in memory, and shared through Redis where there is one."""
    loop = asyncio.get_running_loop()
    log = _LOGS.get(loop)
    if log is None:
        log = _LOGS[loop] = (
            RedisEventLog(settings.REDIS_URL, settings.REDIS_SENTINELS) if settings.REDIS_URL else MemoryEventLog()
        )
    return log
