"""Conversations, their messages, and the processes that make them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.usage import Outcome, UsageRecord


class Status(models.TextChoices):
    PENDING = "pending", _("Waiting for the model")
    STREAMING = "streaming", _("Answering")
    COMPLETE = "complete", _("Complete")
    TRUNCATED = "truncated", _("Cut at the length limit")
    FILTERED = "filtered", _("Held back by the content filter")
    REFUSED = "refused", _("Declined by the model")
    STOPPED = "stopped", _("Stopped")
    INTERRUPTED = "interrupted", _("Interrupted")
    FAILED = "failed", _("Failed")


RUNNING = (Status.PENDING, Status.STREAMING)


class ServerProcess(models.Model):
    """A process that owns running answers; stale after `STALE_AFTER` without a heartbeat."""

    STALE_AFTER = dt.timedelta(seconds=30)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("server process")
        verbose_name_plural = _("server processes")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def for_user(self, user) -> ConversationQuerySet:
        return self.filter(user=user, deleted_at=None)

    def listed(self) -> ConversationQuerySet:
        return self.filter(transient=False).order_by("-updated_at")


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = models.CharField(_("title"), max_length=200, blank=True)
    model = models.CharField(max_length=128, blank=True)
    system_prompt = models.TextField(blank=True)
    head = models.ForeignKey("Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    client_id = models.CharField(max_length=128, null=True, blank=True, editable=False)
    transient = models.BooleanField(default=False, editable=False)
    unread = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        permissions = (
            ("read_conversations", _("Can read other people's conversations, with a reason")),
            ("stop_answers", _("Can stop other people's answers")),
        )
        indexes = (models.Index(fields=("user", "-updated_at"), name="conversation_user_updated"),)
        constraints = (models.UniqueConstraint(fields=("user", "client_id"), name="conversation_user_client"),)

    def __str__(self) -> str:
        return str(self.pk)

    def branch(self) -> list[Message]:
        """The active branch, oldest first, with `siblings` (ids in order) set on each; one query."""
        return self.branch_to(self.head_id)

    def branch_to(self, leaf_id: uuid.UUID | None) -> list[Message]:
        return active_branch(self.messages.order_by("created_at", "pk"), leaf_id)


def active_branch(messages: Iterable[Message], head_id: uuid.UUID | None) -> list[Message]:
    by_id: dict[uuid.UUID, Message] = {}
    children: dict[uuid.UUID | None, list[uuid.UUID]] = {}
    for message in messages:
        by_id[message.pk] = message
        children.setdefault(message.parent_id, []).append(message.pk)
    branch: list[Message] = []
    step = by_id.get(head_id) if head_id else None
    while step is not None:
        step.siblings = children[step.parent_id]
        branch.append(step)
        step = by_id.get(step.parent_id) if step.parent_id else None
    branch.reverse()
    return branch


class MessageQuerySet(models.QuerySet["Message"]):
    def for_user(self, user) -> MessageQuerySet:
        return self.filter(conversation__user=user, conversation__deleted_at=None).select_related("conversation")

    def running(self) -> MessageQuerySet:
        return self.filter(status__in=RUNNING)

    def finish(self, outcome: Outcome) -> bool:
        """Writes the end state and the ledger row in one transaction; False if both were there already.

        Only the call that turns a running message into an ended one writes. A message
        that was deleted meanwhile still gets its ledger row.
        """
        with transaction.atomic():
            changed = self.filter(pk=outcome.message_id, status__in=RUNNING).update(**outcome.message_fields())
            if not changed and self.filter(pk=outcome.message_id).exists():
                return False
            return UsageRecord.objects.book(outcome)


class Message(models.Model):
    class Role(models.TextChoices):
        USER = "user", _("You")
        ASSISTANT = "assistant", _("Assistant")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="replies")
    role = models.CharField(max_length=16, choices=Role)
    status = models.CharField(max_length=16, choices=Status, default=Status.COMPLETE)
    content = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    model = models.CharField(max_length=128, blank=True)
    client_key = models.CharField(max_length=64, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    reserved_tokens = models.PositiveBigIntegerField(default=0)
    reserved_cost = models.PositiveBigIntegerField(default=0)
    turns_left_out = models.PositiveIntegerField(default=0)
    output_cap = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    stop_requested = models.BooleanField(default=False)
    owner = models.ForeignKey(ServerProcess, on_delete=models.SET_NULL, null=True, blank=True, related_name="messages")
    created_at = models.DateTimeField(default=timezone.now)
    first_token_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    siblings: list[uuid.UUID]

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = (
            models.Index(fields=("conversation", "created_at"), name="message_conversation_created"),
            models.Index(
                fields=("owner",),
                condition=Q(status__in=("pending", "streaming")),
                name="message_running_owner",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("conversation",),
                condition=Q(status__in=("pending", "streaming")),
                name="message_one_running",
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING
