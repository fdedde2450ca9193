"""Small facts to a person's other tabs and to other processes, over the Channels layer: ids, never tokens."""

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
TIMEOUT = 0.5
PAUSE_AFTER_FAULT = 1.0

Notification = dict[str, Any]


def person_group(user_id: int) -> str:
    return f"person.{user_id}"


async def publish_stop(message_id: uuid.UUID) -> None:
    """Tells every process that its person wants this answer to end."""
    await _send(PROCESSES, {"type": "stop", "message_id": str(message_id)})


async def publish_change(user_id: int, conversation_id: uuid.UUID) -> None:
    """Tells a person's pages, soon, that this conversation changed."""
    _post(person_group(user_id), {"type": "changed", "conversation_id": str(conversation_id)})


def publish_readers(process_id: uuid.UUID, message_ids: Sequence[uuid.UUID]) -> None:
    """Tells the owners of these answers that this process has viewers of them."""
    names = [str(message_id) for message_id in message_ids]
    _post(PROCESSES, {"type": "watching", "process_id": str(process_id), "message_ids": names})


def publish_last_reader_left(process_id: uuid.UUID, message_id: uuid.UUID, grace: float | None) -> None:
    """Tells the owner of this answer that its last viewer here left; `grace` in seconds, None for ever."""
    fact = {"type": "left", "process_id": str(process_id), "message_id": str(message_id), "grace": grace}
    _post(PROCESSES, fact)


def _post(group: str, notice: Notification) -> None:
    create_background_task(_send(group, notice))


async def _send(group: str, notice: Notification) -> None:
    """Best effort: whoever misses a notice finds the same fact in the database."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            await layer.group_send(group, notice)
    except Exception as error:  # the layer's backends raise their own clients' errors
        logger.warning("notice not sent: %s", type(error).__name__)


async def listen(handle: Callable[[Notification], None]) -> None:
    """Hands every notice to all processes to `handle`, for ever."""
    layer = get_channel_layer()
    while layer is not None:
        try:
            channel = await layer.new_channel()
            await layer.group_add(PROCESSES, channel)
            while True:
                handle(await layer.receive(channel))
        except Exception as error:  # as above
            logger.warning("not listening for notices: %s", type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_FAULT)
