"""Small facts to a person's other tabs and to other processes, over the Channels layer: ids, never tokens."""

from __future__ import annotations

import logging
import uuid

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)

PROCESSES = "processes"


def person_group(user_id: int) -> str:
    return f"person.{user_id}"


async def _send(group: str, message: dict[str, str]) -> None:
    """Best effort: whoever misses a notice finds the same fact in the database."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(group, message)
    except Exception as error:  # the layer's backends raise their own clients' errors
        logger.warning("notice not sent: %s", type(error).__name__)


async def stop(message_id: uuid.UUID) -> None:
    """Tells every process that its person wants this answer to end."""
    await _send(PROCESSES, {"type": "stop", "message_id": str(message_id)})


async def changed(user_id: int, conversation_id: uuid.UUID) -> None:
    """Tells a person's pages that this conversation changed."""
    await _send(person_group(user_id), {"type": "changed", "conversation_id": str(conversation_id)})
