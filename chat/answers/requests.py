"""What each verb asks for, found among what its person may reach.

Synchronous, on the side of the database: `asks.prepare` calls those that make an `Ask`.
Where something is not there, or somebody else's, they raise `NotFound`.
"""

from __future__ import annotations

import uuid

from django.utils.translation import gettext as _

from chat import errors
from chat.answers import client_chats
from chat.answers.client_chats import ChatBody
from chat.answers.store import Ask
from chat.models import RUNNING_STATUSES, Conversation, Message, MessageQuerySet, Status, User


def send(user: User, text: str, client_key: str, conversation_id: uuid.UUID | None, model: str) -> Ask:
    conversation = _conversation(user, conversation_id) if conversation_id else None
    return Ask(
        user=user,
        client_key=client_key,
        conversation=conversation,
        parent=conversation.head if conversation else None,
        question=text,
        model=model,
    )


def regenerate(user: User, message_id: uuid.UUID, client_key: str, model: str) -> Ask:
    answer = answer_among(_beside(user), message_id)
    return Ask(
        user=user,
        client_key=client_key,
        conversation=answer.conversation,
        parent=answer.parent,
        model=model or answer.model,
    )


def edit(user: User, message_id: uuid.UUID, text: str, client_key: str, model: str) -> Ask:
    question = _beside(user).get_or_none(pk=message_id, role=Message.Role.USER)
    if question is None:
        raise errors.NotFound
    return Ask(
        user=user,
        client_key=client_key,
        conversation=question.conversation,
        parent=question.parent,
        question=text,
        model=model,
    )


def resume(user: User, message_id: uuid.UUID, client_key: str) -> Ask:
    """Raises `Conflict` where there is nothing to go on from."""
    answer = answer_among(_beside(user), message_id)
    if answer.status not in (Status.INTERRUPTED, Status.TRUNCATED, Status.STOPPED) or not answer.content:
        raise errors.Conflict(_("There is nothing to continue."))
    return Ask(
        user=user,
        client_key=client_key,
        conversation=answer.conversation,
        parent=answer.parent,
        model=answer.model,
        resume_of=answer,
    )


def converse(user: User, body: ChatBody, stays: bool) -> Ask:
    conversation = client_chats.find(user, body.chat_id or "")
    place = client_chats.place(conversation, body)
    return Ask(
        user=user,
        client_key=place.key(body),
        conversation=conversation,
        parent=place.parent,
        question=place.question,
        question_key=body.question_key or "",
        model=body.model,
        client_id=body.chat_id,
        stays=stays,
    )


def answer_once(user: User, body: ChatBody, stays: bool) -> Ask:
    return Ask(
        user=user,
        client_key=body.client_key or str(uuid.uuid4()),
        question=body.prompt,
        turns=body.turns[:-1],
        model=body.model,
        transient=True,
        stays=stays,
    )


def running_in_chat(user: User, chat_id: str) -> Message | None:
    """None in a chat that is not there, too."""
    try:
        conversation = client_chats.find(user, chat_id)
    except errors.NotFound:
        return None
    return conversation.messages.filter(status__in=RUNNING_STATUSES).first() if conversation else None


def request_stop(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
    answer = answer_among(reachable, message_id)
    Message.objects.running().filter(pk=answer.pk).update(stop_requested=True)
    return answer


def answer_among(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
    found = reachable.get_or_none(pk=message_id, role=Message.Role.ASSISTANT)
    if found is None:
        raise errors.NotFound
    return found


def _conversation(user: User, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.get_for_user(user, conversation_id)
    if found is None:
        raise errors.NotFound
    return found


def _beside(user: User) -> MessageQuerySet:
    """A person's messages, each with the one that an answer or wording beside it follows too."""
    return Message.objects.for_user(user).select_related("parent")
