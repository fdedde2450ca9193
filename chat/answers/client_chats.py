"""Chats that a client names itself: which conversation and which message it means."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.db import models
from django.db.models import QuerySet

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import Conversation, Message, User

MAX_ID_LENGTH = 128

Trigger = Literal["submit", "regenerate"]


@dataclass(frozen=True, kw_only=True)
class ChatBody:
    """One request of the JSON API.

    `turns` are (role, text) up to the last user turn, `prompt` is its text. A body with a `chat_id` names a
    conversation; its earlier turns then only help to recognise a regeneration by clients that do not say so (`marked`:
    this one says what it wants). `message_id` is the message that the client edits or regenerates: its own id or one
    that we sent. `question_key` is the client's id of its last user message.
    """

    protocol: str
    stream: bool
    chat_id: str | None
    turns: tuple[tuple[str, str], ...]
    trigger: Trigger
    marked: bool = False
    message_id: str | None
    prompt: str
    model: str
    client_key: str | None
    question_key: str | None = None


def message_key(chat_id: str | None, message_id: str | None) -> str | None:
    """The client key of a message that the client named, scoped to its chat: clients may count from 1 in every chat."""
    if chat_id is None or message_id is None:
        return None
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([chat_id, message_id])))


def _own_conversations() -> QuerySet[Conversation]:
    return Conversation.objects.filter(user=Parameter("user", models.IntegerField())).select_related("head")


_FIND_BY_NAME = PreparedQuery(lambda: _own_conversations().filter(client_id=Parameter("name", models.CharField())))
_FIND_BY_ID = PreparedQuery(lambda: _own_conversations().filter(pk=Parameter("pk", models.UUIDField())))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the next answer goes. Without a `question` it is another answer to `parent`.

    `replaced` is the message that it is another version of; a new message replaces nothing.
    """

    parent: Message | None = None
    question: str | None = None
    replaced: Message | None = None

    def key(self, body: ChatBody) -> str:
        """The client key: the same request about the same message, sent twice, finds the first answer."""
        if body.client_key and (self.replaced is None or body.client_key != body.question_key):
            return body.client_key
        if self.replaced is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(self.replaced.pk, self.question or ""))


def find(user: User, chat_id: str) -> Conversation | None:
    """A user's conversation by the name its client gave it, or by its id. Raises `NotFound` where it was deleted."""
    if not chat_id.isprintable() or len(chat_id) > MAX_ID_LENGTH:
        return None
    found = _FIND_BY_NAME.one(user=user.pk, name=chat_id)
    if found is None and (ids := _uuids(chat_id)):
        found = _FIND_BY_ID.one(user=user.pk, pk=ids[0])
    if found is not None and found.deleted_at is not None:
        raise errors.NotFound
    return found


def place(conversation: Conversation | None, body: ChatBody) -> Place:
    """Where the answer to `body` goes. The stored conversation is used, not the history that the client sends."""
    if conversation is None:
        return Place(question=body.prompt)
    branch = conversation.active_branch()
    named = _named(conversation, branch, body)
    if named is not None and named.role == Message.Role.ASSISTANT:
        return Place(parent=named.parent, replaced=named)
    if question := named or _sent_again(branch, body):
        if body.trigger == "regenerate" or question.content == body.prompt:
            answer = next((each for each in branch if each.parent_id == question.pk), question)
            return Place(parent=question, replaced=answer)
        return Place(parent=question.parent, question=body.prompt, replaced=question)
    return Place(parent=conversation.head, question=body.prompt)


def _named(conversation: Conversation, branch: Sequence[Message], body: ChatBody) -> Message | None:
    if body.message_id is None:
        return None
    messages = conversation.messages.select_related("parent")
    if found := messages.filter(pk__in=_uuids(body.message_id)).first():
        return found
    key = message_key(body.chat_id, body.message_id)
    found = next((each for each in reversed(branch) if each.role == "user" and each.client_key == key), None)
    return found or messages.filter(role=Message.Role.USER, client_key=key).order_by("created_at").last()


def _sent_again(branch: Sequence[Message], body: ChatBody) -> Message | None:
    """The question that a client sends again without naming it, unchanged or edited.

    Up to version 4 of the AI SDK, regenerating looks like a new message. The history before its last question tells
    them apart: that of a new message ends with the newest answer, that of a regeneration before it.
    """
    questions = [each for each in branch if each.role == Message.Role.USER]
    if not questions or (body.marked and body.trigger == "submit" and body.message_id is None):
        return None
    posted = [text for role, text in body.turns if role == "user"]
    count = len(posted)
    if 2 <= count <= len(questions) and posted[:-1] == [each.content for each in questions[: count - 1]]:
        return questions[count - 1]
    newest = branch[-1]
    if not body.marked and newest.is_running and newest.client_key == body.client_key:
        return None  # the same request once more
    if posted[-1] == questions[-1].content and not _answered(newest, body):
        return questions[-1]
    return None


def _answered(newest: Message, body: ChatBody) -> bool:
    """Whether the posted history has the newest answer, or its part that the client saw, before the question."""
    before = body.turns[-2] if len(body.turns) > 1 else ("", "")
    return before[0] == "assistant" and newest.content.startswith(before[1])


def _uuids(value: str) -> list[uuid.UUID]:
    """The value as a UUID; none where the client made up its own id."""
    try:
        return [uuid.UUID(value)]
    except ValueError:
        return []
