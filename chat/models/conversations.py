"""Conversations."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery, PreparedUpdate
from chat.models.message_tree import MessageTree
from chat.models.querysets import GetOrNoneQuerySet

if TYPE_CHECKING:
    from chat.models.messages import Message

MESSAGES_PER_PAGE = 40
MESSAGES_BEFORE_TARGET = 4


@dataclass(frozen=True, kw_only=True)
class MessagePage:
    """Some messages in a row, with `siblings` set on each."""

    messages: Sequence[Message] = ()
    has_older: bool = False
    has_newer: bool = False


_KEY = Parameter("pk", models.UUIDField())
_OF = PreparedQuery(
    lambda: (
        Conversation.objects.for_user(Parameter("user", models.IntegerField())).select_related("head").filter(pk=_KEY)
    )
)
_READ = PreparedUpdate(lambda: (Conversation.objects.filter(pk=_KEY, unread=True), {"unread": False}))


class ConversationQuerySet(GetOrNoneQuerySet["Conversation"]):
    def for_user(self, user) -> ConversationQuerySet:
        return self.filter(user=user, deleted_at=None)

    def get_for_user(self, user, conversation_id: uuid.UUID) -> Conversation | None:
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

    def get_absolute_url(self) -> str:
        return f"/c/{self.pk}/"

    def active_branch(self) -> list[Message]:
        """The active branch, oldest first, with `siblings` (ids in order) set on each; one query."""
        messages = {message.pk: message for message in self.messages.order_by("created_at", "pk")}
        tree = MessageTree((message.pk, message.parent_id) for message in messages.values())
        branch = [messages[message_id] for message_id in tree.path_to(self.head_id)]
        for message in branch:
            message.siblings = tree.children[message.parent_id]
        return branch

    def message_tree(self) -> MessageTree:
        return MessageTree(self.messages.order_by("created_at", "pk").values_list("pk", "parent_id"))

    def message_page(
        self,
        *,
        before: uuid.UUID | None = None,
        after: uuid.UUID | None = None,
        around: uuid.UUID | None = None,
        since: uuid.UUID | None = None,
    ) -> MessagePage:
        """So many messages of the active branch as a page shows at once; two queries, however long it is.

        The newest ones, unless a message is named from which to count; none where it is not on the branch.
        """
        tree = self.message_tree()
        path = tree.path_to(self.head_id)
        place = {message_id: number for number, message_id in enumerate(path)}
        if before in place:
            first, end = place[before] - MESSAGES_PER_PAGE, place[before]
        elif after in place:
            first, end = place[after] + 1, place[after] + 1 + MESSAGES_PER_PAGE
        elif around in place:
            first, end = (
                place[around] - MESSAGES_BEFORE_TARGET,
                place[around] - MESSAGES_BEFORE_TARGET + MESSAGES_PER_PAGE,
            )
        elif since in place:
            first, end = place[since], place[since] + MESSAGES_PER_PAGE
        elif before or after or since:
            first, end = 0, 0
        else:
            first, end = len(path) - MESSAGES_PER_PAGE, len(path)
        first, end = max(first, 0), min(max(end, 0), len(path))
        found = self.messages.in_bulk(path[first:end])
        shown = [found[message_id] for message_id in path[first:end] if message_id in found]
        for message in shown:
            message.siblings = tree.children[message.parent_id]
        return MessagePage(messages=shown, has_older=first > 0, has_newer=end < len(path))

    def activate_branch(self, message_id: uuid.UUID) -> uuid.UUID | None:
        """Makes the branch through this message the active one, down to its newest leaf.

        Returns the version of it that was shown before. Raises `AnswerRunning`.
        """
        tree = self.message_tree()
        shown = set(tree.path_to(self.head_id))
        leaf = tree.newest_leaf(message_id)
        if not Conversation.objects.filter(~models.Exists(self.messages.running()), pk=self.pk).update(head=leaf):
            raise errors.AnswerRunning
        self.head_id = leaf
        return next((sibling for sibling in tree.siblings_of(message_id) if sibling in shown), None)
