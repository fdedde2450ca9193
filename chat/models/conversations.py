"""Conversations and pages of their messages."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery, PreparedUpdate
from chat.models.message_tree import MessageTree
from chat.models.querysets import GetOrNoneQuerySet
from chat.models.users import User

if TYPE_CHECKING:
    from chat.models.messages import Message

MESSAGES_PER_PAGE = 40
MESSAGES_BEFORE_TARGET = 4
"""How many messages a page shows before the one that a link leads to."""


@dataclass(frozen=True, kw_only=True)
class MessagePage:
    """Consecutive messages of the active branch, with `siblings` set on each."""

    messages: Sequence[Message] = ()
    has_older: bool = False
    has_newer: bool = False


@lru_cache(maxsize=4096)
def conversation_url(conversation_id: uuid.UUID) -> str:
    """The path of the page of a conversation. Cached: a list of conversations needs one for each row."""
    return reverse("conversation", args=(conversation_id,))


_KEY = Parameter("pk", models.UUIDField())
_OF_USER = PreparedQuery(
    lambda: (
        Conversation.objects.for_user(Parameter("user", models.IntegerField())).select_related("head").filter(pk=_KEY)
    )
)
_MARK_READ = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, unread=True), {"unread": False}))


class ConversationQuerySet(GetOrNoneQuerySet["Conversation"]):
    def for_user(self, user: User | Parameter) -> ConversationQuerySet:
        """The conversations that a user may open: their own, unless deleted."""
        return self.filter(user=user, deleted_at=None)

    def get_for_user(self, user: User, conversation_id: uuid.UUID) -> Conversation | None:
        """A conversation that the user may open, with its `head`, or None."""
        return _OF_USER.one(user=user.pk, pk=conversation_id)

    def listed(self) -> ConversationQuerySet:
        """The conversations that lists show, the last changed first."""
        return self.filter(transient=False).order_by("-updated_at", "-pk")

    def after(self, updated_at: dt.datetime, conversation_id: uuid.UUID) -> ConversationQuerySet:
        """The conversations that follow this one in the order of `listed`."""
        return self.filter(Q(updated_at__lt=updated_at) | Q(updated_at=updated_at, pk__lt=conversation_id))

    def mark_read(self, conversation_id: uuid.UUID) -> None:
        """Clear `unread`. A conversation can be read even if the database is read-only, so errors are ignored."""
        with contextlib.suppress(DatabaseError):
            _MARK_READ(pk=conversation_id)


class Conversation(models.Model):
    """A tree of messages. `head` is the last message of the active branch.

    `client_id` is the id that an API client gave it. A `transient` conversation belongs to a single API
    request and is not listed.
    """

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

    def get_absolute_url(self) -> str:
        return conversation_url(self.pk)

    def active_branch(self) -> list[Message]:
        """All messages of the active branch, oldest first, with `siblings` set on each. One query."""
        messages = {message.pk: message for message in self.messages.order_by("created_at", "pk")}
        tree = MessageTree((message.pk, message.parent_id) for message in messages.values())
        branch = [messages[message_id] for message_id in tree.path_to(self.head_id)]
        for message in branch:
            message.siblings = tree.children[message.parent_id]
        return branch

    def message_tree(self) -> MessageTree:
        """The ids of all messages. One query."""
        return MessageTree(self.messages.order_by("created_at", "pk").values_list("pk", "parent_id"))

    def message_page(
        self,
        *,
        before: uuid.UUID | None = None,
        after: uuid.UUID | None = None,
        around: uuid.UUID | None = None,
        since: uuid.UUID | None = None,
    ) -> MessagePage:
        """Up to `MESSAGES_PER_PAGE` messages of the active branch. Two queries, however long the branch is.

        Give at most one message: the page ends `before` it, starts `after` it, starts with it (`since`) or shows
        it with some messages before it (`around`). Without one, these are the newest messages. If the message is
        not on the active branch, the page is empty (for `around`: the newest messages).
        """
        tree = self.message_tree()
        path = tree.path_to(self.head_id)
        index_of = {message_id: index for index, message_id in enumerate(path)}
        if before in index_of:
            start, end = index_of[before] - MESSAGES_PER_PAGE, index_of[before]
        elif after in index_of:
            start, end = index_of[after] + 1, index_of[after] + 1 + MESSAGES_PER_PAGE
        elif around in index_of:
            start = index_of[around] - MESSAGES_BEFORE_TARGET
            end = start + MESSAGES_PER_PAGE
        elif since in index_of:
            start, end = index_of[since], index_of[since] + MESSAGES_PER_PAGE
        elif before or after or since:
            start, end = 0, 0
        else:
            start, end = len(path) - MESSAGES_PER_PAGE, len(path)
        start, end = max(start, 0), min(max(end, 0), len(path))
        by_id = self.messages.in_bulk(path[start:end])
        messages = [by_id[message_id] for message_id in path[start:end] if message_id in by_id]
        for message in messages:
            message.siblings = tree.children[message.parent_id]
        return MessagePage(messages=messages, has_older=start > 0, has_newer=end < len(path))

    def activate_branch(self, message_id: uuid.UUID) -> uuid.UUID | None:
        """Make the branch through this message active, down to its newest descendant.

        Returns the sibling of the message that was active before. Raises `AnswerRunning` while an answer of the
        conversation is running.
        """
        tree = self.message_tree()
        active = set(tree.path_to(self.head_id))
        leaf = tree.newest_leaf(message_id)
        if not Conversation.objects.filter(~models.Exists(self.messages.running()), pk=self.pk).update(head=leaf):
            raise errors.AnswerRunning
        self.head_id = leaf
        return next((sibling for sibling in tree.siblings_of(message_id) if sibling in active), None)
