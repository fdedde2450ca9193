"""Messages and the steps of an answer in the database."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
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
from chat.models.users import User


class Status(models.TextChoices):
    """States of a message. A question is always complete; an answer starts as pending."""

    PENDING = "pending", _("Waiting for the model")
    STREAMING = "streaming", _("Answering")
    COMPLETE = "complete", _("Complete")
    TRUNCATED = "truncated", _("Cut at the length limit")
    FILTERED = "filtered", _("Blocked by the content filter")
    REFUSED = "refused", _("Declined by the model")
    STOPPED = "stopped", _("Stopped")
    INTERRUPTED = "interrupted", _("Interrupted")
    FAILED = "failed", _("Failed")


RUNNING_STATUSES = (Status.PENDING, Status.STREAMING)


class PromptMessage(NamedTuple):
    """What the prompt for an answer needs of a message."""

    role: str
    content: str
    status: str = Status.COMPLETE


_KEY = Parameter("pk", models.UUIDField())
Checkpoint = tuple[str, str, dt.datetime | None]
"""Content, reasoning and the time of the first token, as far as an answer has got."""


def _parameters(names: Collection[str]) -> dict[str, Parameter]:
    return {field.name: Parameter(field.name, field) for field in Message._meta.fields if field.name in names}


_SAVE_CHECKPOINT = PreparedUpdate(
    lambda: (
        Message.objects.filter(pk=_KEY, owner=Parameter("owner", models.UUIDField()), status__in=RUNNING_STATUSES),
        {"status": Status.STREAMING.value, **_parameters(("content", "reasoning", "first_token_at"))},
    )
)
_FINISH = PreparedUpdate(
    lambda: (Message.objects.filter(pk=_KEY, status__in=RUNNING_STATUSES), _parameters(MESSAGE_FIELDS))
)


_MARK_UNREAD = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, client_id=None), {"unread": True}))


class MessageQuerySet(GetOrNoneQuerySet["Message"]):
    def for_user(self, user: User | Parameter) -> MessageQuerySet:
        """The messages that a user may see, with their `conversation`: those of their own, undeleted conversations."""
        return self.filter(conversation__user=user, conversation__deleted_at=None).select_related("conversation")

    def running(self) -> MessageQuerySet:
        """Answers that have not ended."""
        return self.filter(status__in=RUNNING_STATUSES)

    def prompt_messages(self, conversation_id: uuid.UUID, leaf_id: uuid.UUID) -> list[PromptMessage]:
        """The branch from the first message to `leaf_id`, as the prompt needs it. One query.

        Reads only the columns of the prompt: a long conversation has much more text in its other columns.
        """
        rows = {row[0]: row[1:] for row in _PROMPT_COLUMNS(pk=conversation_id)}
        branch: list[PromptMessage] = []
        message_id: uuid.UUID | None = leaf_id
        while message_id is not None and message_id in rows:
            message_id, *fields = rows[message_id]
            branch.append(PromptMessage(*fields))
        branch.reverse()
        return branch

    def save_checkpoints(self, owner: uuid.UUID, checkpoints: Mapping[uuid.UUID, Checkpoint]) -> None:
        """Save the text so far of running answers, by message id. `owner` is the process that runs them."""
        _SAVE_CHECKPOINT.many(
            {
                "pk": message_id,
                "owner": owner,
                "content": content,
                "reasoning": reasoning,
                "first_token_at": first_token_at,
            }
            for message_id, (content, reasoning, first_token_at) in checkpoints.items()
        )

    def finish(self, outcome: Outcome, *, seen: bool = False) -> bool:
        """End an answer: save its final state and its ledger row in one transaction.

        Only the call that ends a running answer writes; returns False if the answer has ended already. A message
        that was deleted meanwhile still gets its ledger row. The conversation is marked as unread, unless a page
        shows the end (`seen`) or the user stopped the answer.
        """
        with transaction.atomic():
            changed = _FINISH(pk=outcome.message_id, **outcome.message_fields())
            if not changed and self.filter(pk=outcome.message_id).exists():
                return False
            if not seen and outcome.status != Status.STOPPED:
                _MARK_UNREAD(pk=outcome.conversation_id)
            return UsageRecord.objects.record(outcome)


_PROMPT_COLUMNS = PreparedQuery(
    lambda: Message.objects.filter(conversation=_KEY).values_list("pk", "parent_id", "role", "content", "status")
)


def _ids_by_age(rows: models.QuerySet[Message]) -> models.QuerySet[Message, uuid.UUID]:
    return rows.order_by("created_at", "pk").values_list("pk", flat=True)


_REPLIES = PreparedQuery(lambda: _ids_by_age(Message.objects.filter(parent=_KEY)))
_FIRST_MESSAGES = PreparedQuery(lambda: _ids_by_age(Message.objects.filter(conversation=_KEY, parent=None)))


class Message(models.Model):
    """A question or an answer. At most one answer of a conversation is running.

    `owner` is the server process that runs the answer. `client_key` is the key that makes sending idempotent.
    Costs are in micro-dollars.
    """

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
    """How many characters at the start of `content` come from the earlier answer that this one continues."""
    error_code = models.CharField(max_length=40, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    stop_requested = models.BooleanField(default=False)
    owner = models.ForeignKey(ServerProcess, on_delete=models.SET_NULL, null=True, blank=True, related_name="messages")
    created_at = models.DateTimeField(default=timezone.now)
    first_token_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    siblings: list[uuid.UUID]
    """Ids of all versions of this message, oldest first; set by the methods that say so."""

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
        """Set `siblings`. One query."""
        self.siblings = _REPLIES(pk=self.parent_id) if self.parent_id else _FIRST_MESSAGES(pk=self.conversation_id)

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING_STATUSES
