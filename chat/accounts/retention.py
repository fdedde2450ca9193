"""What is old enough to go, and removing it in steps that hold no lock for long."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from chat.models import Conversation, ConversationQuerySet, Message, ServerProcess

UNDO = dt.timedelta(days=1)
"""How long a deleted conversation can still be brought back."""

TRANSIENT = dt.timedelta(days=1)
BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One reason to remove conversations."""

    name: str
    condition: Q


def rules(older_than: dt.timedelta | None = None) -> list[Rule]:
    now = timezone.now()
    found = [
        Rule(name="deleted", condition=Q(deleted_at__lt=now - UNDO)),
        Rule(name="transient", condition=Q(transient=True, updated_at__lt=now - TRANSIENT)),
    ]
    if older_than is not None:
        found.append(Rule(name="old", condition=Q(updated_at__lt=now - older_than)))
    return found


def due(condition: Q) -> ConversationQuerySet:
    """Conversations that may go; never one with a running answer."""
    running = Message.objects.running().filter(conversation=OuterRef("pk"))
    return Conversation.objects.filter(condition).exclude(Exists(running))


def remove(conversation_id: uuid.UUID, condition: Q | None = None) -> bool:
    """Removes one conversation, the newest messages first and so many in each transaction.

    False where it no longer is what `condition` says, or an answer runs in it.
    """
    mine = Conversation.objects.filter(condition or Q(), pk=conversation_id)
    while True:
        with transaction.atomic():
            conversation = mine.select_for_update().first()
            if conversation is None or conversation.messages.running().exists():
                return False
            newest = conversation.messages.order_by("-created_at", "-pk").values_list("pk", flat=True)[:BATCH]
            batch = list(newest)
            if len(batch) < BATCH:
                conversation.delete()
                return True
            Message.objects.filter(pk__in=batch).delete()


def stale_processes():
    """Servers that are gone and whose answers have all been closed."""
    return ServerProcess.objects.filter(heartbeat_at__lt=timezone.now() - 10 * ServerProcess.STALE_AFTER, messages=None)
