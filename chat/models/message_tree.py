"""The order of a conversation's messages, of which every one may have several that follow it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable


class MessageTree:
    """The messages of a conversation as ids, each with its parent, in the order they were made."""

    def __init__(self, rows: Iterable[tuple[uuid.UUID, uuid.UUID | None]]) -> None:
        self.parents: dict[uuid.UUID, uuid.UUID | None] = {}
        self.children: dict[uuid.UUID | None, list[uuid.UUID]] = {}
        for message_id, parent_id in rows:
            self.parents[message_id] = parent_id
            self.children.setdefault(parent_id, []).append(message_id)

    def path_to(self, leaf_id: uuid.UUID | None) -> list[uuid.UUID]:
        """From the first message down to this one; empty where it is not there."""
        path: list[uuid.UUID] = []
        step = leaf_id if leaf_id in self.parents else None
        while step is not None:
            path.append(step)
            step = self.parents.get(step)
        path.reverse()
        return path

    def siblings_of(self, message_id: uuid.UUID) -> list[uuid.UUID]:
        return self.children[self.parents[message_id]]

    def newest_leaf(self, message_id: uuid.UUID) -> uuid.UUID:
        """The message made last among this one and all that follows from it."""
        below, waiting = {message_id}, [message_id]
        while waiting:
            replies = self.children.get(waiting.pop(), [])
            below.update(replies)
            waiting.extend(replies)
        return next(newest for newest in reversed(self.parents) if newest in below)
