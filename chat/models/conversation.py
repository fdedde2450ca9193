"""Conversations and their messages."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery, PreparedUpdate
from chat.models.process import ServerProcess
from chat.models.tree import Tree
from chat.models.usage import OF_MESSAGE, Outcome, UsageRecord


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


M = TypeVar("M", bound=models.Model)


class OneRow(models.QuerySet[M]):
    def one(self, **lookup: Any) -> M | None:
        """The row that is looked for by its key. (`first` would sort, which costs half as much as all the rest.)"""
        try:
            return self.get(**lookup)
        except ObjectDoesNotExist:
            return None


_KEY = Parameter("pk", models.UUIDField())
_OF = PreparedQuery(
    lambda: (
        Conversation.objects.for_user(Parameter("user", models.IntegerField())).select_related("head").filter(pk=_KEY)
    )
)
_UNREAD = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, client_id=None), {"unread": True}))
_READ = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, unread=True), {"unread": False}))


class ConversationQuerySet(OneRow["Conversation"]):
    def for_user(self, user) -> ConversationQuerySet:
        return self.filter(user=user, deleted_at=None)

    def of(self, user, conversation_id: uuid.UUID) -> Conversation | None:
        """One of a person's conversations, with its `head`."""
        return _OF.one(user=user.pk, pk=conversation_id)

    def listed(self) -> ConversationQuerySet:
        return self.filter(transient=False).order_by("-updated_at", "-pk")

    def after(self, moment: dt.datetime, conversation_id: uuid.UUID) -> ConversationQuerySet:
        """Those that come after this place in the list."""
        return self.filter(Q(updated_at__lt=moment) | Q(updated_at=moment, pk__lt=conversation_id))

    def mark_read(self, conversation_id: uuid.UUID) -> None:
        """Reading goes on where nothing can be written: the mark then stays."""
        with contextlib.suppress(DatabaseError):
            _READ(pk=conversation_id)


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

    @property
    def address(self) -> str:
        return f"/c/{self.pk}/"

    def branch(self) -> list[Message]:
        """The active branch, oldest first, with `siblings` (ids in order) set on each; one query."""
        messages = {message.pk: message for message in self.messages.order_by("created_at", "pk")}
        tree = Tree((message.pk, message.parent_id) for message in messages.values())
        branch = [messages[message_id] for message_id in tree.path_to(self.head_id)]
        for message in branch:
            message.siblings = tree.children[message.parent_id]
        return branch

    def said_up_to(self, leaf_id: uuid.UUID) -> list[Said]:
        """What was said from the first message down to this one; one query, and no more of each than a model needs."""
        rows = {row[0]: row[1:] for row in _SAID(pk=self.pk)}
        said: list[Said] = []
        step: uuid.UUID | None = leaf_id
        while step is not None and step in rows:
            step, *words = rows[step]
            said.append(Said(*words))
        said.reverse()
        return said

    def tree(self) -> Tree:
        return Tree(self.messages.order_by("created_at", "pk").values_list("pk", "parent_id"))

    def part(
        self,
        *,
        before: uuid.UUID | None = None,
        after: uuid.UUID | None = None,
        around: uuid.UUID | None = None,
        since: uuid.UUID | None = None,
    ) -> Part:
        """So many messages of the active branch as a page shows at once; two queries, however long it is.

        The newest ones, unless a message is named from which to count; none where it is not on the branch.
        """
        tree = self.tree()
        path = tree.path_to(self.head_id)
        place = {message_id: number for number, message_id in enumerate(path)}
        if before in place:
            first, end = place[before] - PART, place[before]
        elif after in place:
            first, end = place[after] + 1, place[after] + 1 + PART
        elif around in place:
            first, end = place[around] - LEAD, place[around] - LEAD + PART
        elif since in place:
            first, end = place[since], place[since] + PART
        elif before or after or since:
            first, end = 0, 0
        else:
            first, end = len(path) - PART, len(path)
        first, end = max(first, 0), min(max(end, 0), len(path))
        found = self.messages.in_bulk(path[first:end])
        shown = [found[message_id] for message_id in path[first:end] if message_id in found]
        for message in shown:
            message.siblings = tree.children[message.parent_id]
        return Part(messages=shown, has_older=first > 0, has_newer=end < len(path))

    def show(self, message_id: uuid.UUID) -> uuid.UUID | None:
        """Makes the branch through this message the active one, down to its newest leaf.

        Returns the version of it that was shown before. Raises `AnswerRunning`.
        """
        tree = self.tree()
        shown = set(tree.path_to(self.head_id))
        leaf = tree.newest_leaf(message_id)
        running = Message.objects.running().filter(conversation=models.OuterRef("pk"))
        if not Conversation.objects.filter(~models.Exists(running), pk=self.pk).update(head=leaf):
            raise errors.AnswerRunning
        self.head_id = leaf
        return next((sibling for sibling in tree.siblings_of(message_id) if sibling in shown), None)


PART = 40
LEAD = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some messages in a row, with `siblings` set on each."""

    messages: Sequence[Message] = ()
    has_older: bool = False
    has_newer: bool = False


class Said(NamedTuple):
    """A message as the prompt for the next answer sees it."""

    role: str
    content: str
    status: str = Status.COMPLETE


Checkpoint = tuple[str, str, dt.datetime | None]
"""Content, reasoning, and when the first token came."""


def _columns(names: str) -> dict[str, Parameter]:
    return {field.name: Parameter(field.name, field) for field in Message._meta.fields if field.name in names.split()}


_SAVE = PreparedUpdate(
    lambda: (
        Message.objects.filter(pk=_KEY, owner=Parameter("owner", models.UUIDField()), status__in=RUNNING),
        {"status": Status.STREAMING.value, **_columns("content reasoning first_token_at")},
    )
)
_END = PreparedUpdate(lambda: (Message.objects.filter(pk=_KEY, status__in=RUNNING), _columns(OF_MESSAGE)))


class MessageQuerySet(OneRow["Message"]):
    def for_user(self, user) -> MessageQuerySet:
        return self.filter(conversation__user=user, conversation__deleted_at=None).select_related("conversation")

    def running(self) -> MessageQuerySet:
        return self.filter(status__in=RUNNING)

    def save_texts(self, owner: uuid.UUID, texts: Mapping[uuid.UUID, Checkpoint]) -> None:
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
            return UsageRecord.objects.book(outcome)


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

    def set_siblings(self) -> None:
        """The versions of this message, itself among them."""
        self.siblings = _REPLIES(pk=self.parent_id) if self.parent_id else _BEGINNINGS(pk=self.conversation_id)

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING
