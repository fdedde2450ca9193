"""Which server processes are alive."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import time
import uuid

from django.utils import timezone

from chat.infra.process import process
from chat.models import ServerProcess

logger = logging.getLogger(__name__)

SECOND_LOOK = 8.0
"""Seconds that a stale heartbeat must not move before its process counts as dead."""
DELETE_AFTER = 10 * ServerProcess.STALE_AFTER


class OwnProcesses(set[uuid.UUID]):
    """The rows of this operating-system process: one for each event loop that has run answers."""


def machine() -> str:
    """Where a process number means something: the host and, in a container, its PID namespace."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def register(process_id: uuid.UUID) -> None:
    ServerProcess.objects.create(pk=process_id, host=machine(), pid=os.getpid())
    process.part(OwnProcesses).add(process_id)


def unregister(process_id: uuid.UUID) -> None:
    process.part(OwnProcesses).discard(process_id)
    ServerProcess.objects.filter(pk=process_id).delete()


def heartbeat(process_id: uuid.UUID) -> None:
    """Update the row of this process, and delete rows of processes that are long gone and own no answer."""
    now = timezone.now()
    _row, created = ServerProcess.objects.update_or_create(
        pk=process_id, defaults={"heartbeat_at": now, "host": machine(), "pid": os.getpid()}
    )
    if created:
        logger.warning("the row of this process was missing and was created again")
    ServerProcess.objects.filter(heartbeat_at__lt=now - DELETE_AFTER, messages=None).delete()


class Liveness:
    """What this process has seen of the others' heartbeats.

    One stale heartbeat proves nothing: while the database is away, those of all processes become stale. It has to
    be unchanged `second_look` seconds later.
    """

    def __init__(self, second_look: float = SECOND_LOOK) -> None:
        self.second_look = second_look
        self.settled: set[uuid.UUID] = set()
        """Dead processes whose last answers have been settled."""
        self._stale: dict[uuid.UUID, tuple[dt.datetime, float]] = {}

    @property
    def is_unsure(self) -> bool:
        """Whether a second look may find more dead processes."""
        return bool(self._stale)

    def is_dead(self, row: ServerProcess | None) -> bool:
        if row is None:
            return True
        if row.pk in process.part(OwnProcesses):
            return False
        return _has_ended(row) or self._is_still_stale(row)

    def _is_still_stale(self, row: ServerProcess) -> bool:
        if timezone.now() - row.heartbeat_at <= ServerProcess.STALE_AFTER:
            self._stale.pop(row.pk, None)
            return False
        heartbeat_at, since = self._stale.setdefault(row.pk, (row.heartbeat_at, time.monotonic()))
        if heartbeat_at != row.heartbeat_at:
            self._stale[row.pk] = (row.heartbeat_at, time.monotonic())
            return False
        return time.monotonic() - since >= self.second_look


def _has_ended(row: ServerProcess) -> bool:
    """Whether this machine says that no such process runs, or that its number is now ours."""
    if row.host != machine():
        return False
    if row.pid == os.getpid():
        return True
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
