"""Messages of conversations."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.infra.prepared_queries import Parameter, PreparedQuery, PreparedUpdate
from chat.models.conversations import Conversation
from chat.models.querysets import GetOrNoneQuerySet
from chat.models.server_process import ServerProcess
from chat.models.usage_records import MESSAGE_FIELDS, Outcome, UsageRecord


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


RUNNING_STATUSES = (Status.PENDING, Status.STREAMING)


class PromptMessage(NamedTuple):
    """A message as the prompt for the next answer sees it."""

    role: str
    content: str
    status: str = Status.COMPLETE


_KEY = Parameter("pk", models.UUIDField())
Checkpoint = tuple[str, str, dt.datetime | None]
"""Content, reasoning, and when the first token came."""


def _columns(names: str) -> dict[str, Parameter]:
    return {field.name: Parameter(field.name, field) for field in Message._meta.fields if field.name in names.split()}


_SAVE = PreparedUpdate(
    lambda: (
        Message.objects.filter(pk=_KEY, owner=Parameter("owner", models.UUIDField()), status__in=RUNNING_STATUSES),
        {"status": Status.STREAMING.value, **_columns("content reasoning first_token_at")},
    )
)
_END = PreparedUpdate(lambda: (Message.objects.filter(pk=_KEY, status__in=RUNNING_STATUSES), _columns(MESSAGE_FIELDS)))


_UNREAD = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, client_id=None), {"unread": True}))


class MessageQuerySet(GetOrNoneQuerySet["Message"]):
    def for_user(self, user) -> MessageQuerySet:
        return self.filter(conversation__user=user, conversation__deleted_at=None).select_related("conversation")

    def running(self) -> MessageQuerySet:
        return self.filter(status__in=RUNNING_STATUSES)

    def prompt_messages(self, conversation_id: uuid.UUID, leaf_id: uuid.UUID) -> list[PromptMessage]:
        """What was said from the first message down to this one; one query, and no more of each than a model needs."""
        rows = {row[0]: row[1:] for row in _SAID(pk=conversation_id)}
        said: list[PromptMessage] = []
        step: uuid.UUID | None = leaf_id
        while step is not None and step in rows:
            step, *words = rows[step]
            said.append(PromptMessage(*words))
        said.reverse()
        return said

    def save_checkpoints(self, owner: uuid.UUID, texts: Mapping[uuid.UUID, Checkpoint]) -> None:
        """What running answers of one process say by now."""
        _SAVE.many(
            {
                "pk": message_id,
                "owner": owner,
                "content": text,
                "reasoning": reasoning,
                "first_token_at": first_token_at,
            }
            for message_id, (text, reasoning, first_token_at) in texts.items()
        )

    def finish(self, outcome: Outcome, *, seen: bool = False) -> bool:
        """Writes the end state and the ledger row in one transaction; False if both were there already.

        Marks the conversation as unread unless the end is `seen`; a page that shows it later takes the mark away.

        Only the call that turns a running message into an ended one writes. A message
        that was deleted meanwhile still gets its ledger row.
        """
        with transaction.atomic():
            changed = _END(pk=outcome.message_id, **outcome.message_fields())
            if not changed and self.filter(pk=outcome.message_id).exists():
                return False
            if not seen and outcome.status != Status.STOPPED:
                _UNREAD(pk=outcome.conversation_id)
            return UsageRecord.objects.record(outcome)


_SAID = PreparedQuery(
    lambda: Message.objects.filter(conversation=_KEY).values_list("pk", "parent_id", "role", "content", "status")
)


def _in_order(rows: models.QuerySet[Message]) -> models.QuerySet[Message, uuid.UUID]:
    return rows.order_by("created_at", "pk").values_list("pk", flat=True)


_REPLIES = PreparedQuery(lambda: _in_order(Message.objects.filter(parent=_KEY)))
_BEGINNINGS = PreparedQuery(lambda: _in_order(Message.objects.filter(conversation=_KEY, parent=None)))


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
    prefix_length = models.PositiveIntegerField(default=0)
    """Characters at the start of the content that an earlier answer gave, which this one continues."""
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

    def load_siblings(self) -> None:
        """The versions of this message, itself among them."""
        self.siblings = _REPLIES(pk=self.parent_id) if self.parent_id else _BEGINNINGS(pk=self.conversation_id)

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING_STATUSES
