"""Notifications to a user's other pages and to other processes, over the Channels layer.

They carry ids, never text. Sending is best effort: whoever misses one finds the same fact in the database. The types
are a contract between processes of different versions.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from channels.layers import get_channel_layer

from chat.infra.tasks import create_background_task

logger = logging.getLogger(__name__)

PROCESSES = "processes"
"""The group of all processes."""
STOP = "stop"
CHANGED = "changed"
READING = "watching"
LEFT = "left"

TIMEOUT = 0.5
PAUSE_AFTER_ERROR = 1.0

Notification = dict[str, Any]


def user_group(user_id: int) -> str:
    """The group of a user's open pages."""
    return f"person.{user_id}"


async def publish_stop(message_id: uuid.UUID) -> None:
    """Tell every process that this answer is to stop."""
    await _send(PROCESSES, {"type": STOP, "message_id": str(message_id)})


def publish_change(user_id: int, conversation_id: uuid.UUID) -> None:
    """Tell a user's open pages that this conversation changed."""
    create_background_task(_send(user_group(user_id), {"type": CHANGED, "conversation_id": str(conversation_id)}))


def publish_readers(process_id: uuid.UUID, message_ids: Sequence[uuid.UUID]) -> None:
    """Tell the owners of these answers that this process serves readers of them."""
    names = [str(message_id) for message_id in message_ids]
    fact = {"type": READING, "process_id": str(process_id), "message_ids": names}
    create_background_task(_send(PROCESSES, fact))


def publish_last_reader_left(process_id: uuid.UUID, message_id: uuid.UUID, grace: float | None) -> None:
    """Tell the owner of this answer that its last reader here left. `grace` in seconds, None for ever."""
    fact = {"type": LEFT, "process_id": str(process_id), "message_id": str(message_id), "grace": grace}
    create_background_task(_send(PROCESSES, fact))


async def _send(group: str, notification: Notification) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            await layer.group_send(group, notification)
    except Exception as error:  # each layer's backend raises its own client's errors
        logger.warning("a notification was not sent: %s", type(error).__name__)


async def listen(handle: Callable[[Notification], None]) -> None:
    """Call `handle` with every notification to all processes, until cancelled."""
    layer = get_channel_layer()
    while layer is not None:
        try:
            channel = await layer.new_channel()
            await layer.group_add(PROCESSES, channel)
            while True:
                handle(await layer.receive(channel))
        except Exception as error:  # as above
            logger.warning("cannot receive notifications: %s", type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR)
