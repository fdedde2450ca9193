"""Remove conversations after their retention period, in short transactions."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from chat.models import Conversation, ConversationQuerySet, Message, ServerProcess

DELETED_AFTER = dt.timedelta(days=1)
"""How long a deleted conversation can be restored."""

TRANSIENT_AFTER = dt.timedelta(days=1)
"""How long a conversation of a single API request is kept."""

BATCH_SIZE = 500
"""Messages deleted in one transaction."""


@dataclass(frozen=True, kw_only=True)
class RetentionRule:
    """A reason to remove conversations."""

    name: str
    condition: Q


def retention_rules(older_than: dt.timedelta | None = None) -> list[RetentionRule]:
    """The rules that hold now. `older_than` adds one for conversations that have not changed for so long."""
    now = timezone.now()
    rules = [
        RetentionRule(name="deleted", condition=Q(deleted_at__lt=now - DELETED_AFTER)),
        RetentionRule(name="transient", condition=Q(transient=True, updated_at__lt=now - TRANSIENT_AFTER)),
    ]
    if older_than is not None:
        rules.append(RetentionRule(name="old", condition=Q(updated_at__lt=now - older_than)))
    return rules


def due_conversations(condition: Q) -> ConversationQuerySet:
    """The conversations to remove. One with a running answer is never among them."""
    running = Message.objects.running().filter(conversation=OuterRef("pk"))
    return Conversation.objects.filter(condition).exclude(Exists(running))


def remove_conversation(conversation_id: uuid.UUID, condition: Q | None = None) -> bool:
    """Delete a conversation for good, newest messages first, `BATCH_SIZE` messages in a transaction.

    Returns False if it does not meet `condition` (any more), or has a running answer.
    """
    matching = Conversation.objects.filter(condition or Q(), pk=conversation_id)
    while True:
        with transaction.atomic():
            conversation = matching.select_for_update().first()
            if conversation is None or conversation.messages.running().exists():
                return False
            newest = conversation.messages.order_by("-created_at", "-pk").values_list("pk", flat=True)[:BATCH_SIZE]
            batch = list(newest)
            if len(batch) < BATCH_SIZE:
                conversation.delete()
                return True
            Message.objects.filter(pk__in=batch).delete()


def stale_processes() -> QuerySet[ServerProcess]:
    """Server processes that have ended and own no message any more."""
    return ServerProcess.objects.filter(heartbeat_at__lt=timezone.now() - 10 * ServerProcess.STALE_AFTER, messages=None)
