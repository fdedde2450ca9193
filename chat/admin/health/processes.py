"""The server processes and their heartbeats."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from chat.infra import formatting
from chat.models import Message, ServerProcess


@dataclass(frozen=True, kw_only=True)
class ProcessLine:
    """A process; `answers` counts its running answers, `up` and `heartbeat` are formatted ages."""

    name: str
    alive: bool
    up: str
    heartbeat: str
    answers: int


def server_processes() -> list[ProcessLine]:
    """All registered processes, by host and start. One query."""
    now = timezone.now()
    running = Count("messages", filter=Exists(Message.objects.running().filter(pk=OuterRef("messages__pk"))))
    rows = ServerProcess.objects.annotate(answers=running).order_by("host", "started_at")
    return [
        ProcessLine(
            name=str(row),
            alive=now - row.heartbeat_at <= ServerProcess.STALE_AFTER,
            up=formatting.age(row.started_at, now),
            heartbeat=formatting.age(row.heartbeat_at, now),
            answers=row.answers,
        )
        for row in rows
    ]
