"""Stop answers."""

from __future__ import annotations

import uuid

from chat import errors
from chat.answers import client_chats, store
from chat.answers.runner import current_runner
from chat.infra import notifications
from chat.infra.database_threads import run_in_db_thread
from chat.models import RUNNING_STATUSES, Message, MessageQuerySet, User


async def stop(user: User, message_id: uuid.UUID) -> Message:
    """Stop the user's answer; one that has ended is left as it is. Raises `NotFound`.

    The request is written to the row, where its process finds it within a second; a notification is faster.
    """
    return await _stop(Message.objects.for_user(user), message_id)


async def stop_for_admin(message_id: uuid.UUID) -> Message:
    """As `stop`, for anybody's answer. The caller has checked the permission."""
    return await _stop(Message.objects.select_related("conversation"), message_id)


async def find_running_in_chat(user: User, chat_id: str) -> Message | None:
    """The running answer in a chat that its client named; None also where the chat is unknown or deleted."""
    return await run_in_db_thread(_find_running, user, chat_id)


async def _stop(messages: MessageQuerySet, message_id: uuid.UUID) -> Message:
    message = await run_in_db_thread(_request_stop, messages, message_id)
    if message.is_running:
        runner = current_runner()
        if runner.stop(message.pk):
            await runner.wait(message.pk)
            message = await run_in_db_thread(store.get_answer, messages, message_id)
        else:
            await notifications.publish_stop(message.pk)
    return message


def _request_stop(messages: MessageQuerySet, message_id: uuid.UUID) -> Message:
    answer = store.get_answer(messages, message_id)
    Message.objects.running().filter(pk=answer.pk).update(stop_requested=True)
    return answer


def _find_running(user: User, chat_id: str) -> Message | None:
    try:
        conversation = client_chats.find(user, chat_id)
    except errors.NotFound:
        return None
    return conversation.messages.filter(status__in=RUNNING_STATUSES).first() if conversation else None
