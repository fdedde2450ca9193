"""The tree of messages in a conversation: an edited or regenerated message adds a branch."""

from __future__ import annotations

import uuid
from collections.abc import Iterable


class MessageTree:
    """Ids of the messages of a conversation with their parents, in order of creation."""

    def __init__(self, rows: Iterable[tuple[uuid.UUID, uuid.UUID | None]]) -> None:
        """`rows` are pairs of message id and parent id, oldest first."""
        self.parents: dict[uuid.UUID, uuid.UUID | None] = {}
        self.children: dict[uuid.UUID | None, list[uuid.UUID]] = {}
        for message_id, parent_id in rows:
            self.parents[message_id] = parent_id
            self.children.setdefault(parent_id, []).append(message_id)

    def path_to(self, leaf_id: uuid.UUID | None) -> list[uuid.UUID]:
        """The ids from the first message to this one; empty if it is not in the conversation."""
        path: list[uuid.UUID] = []
        step = leaf_id if leaf_id in self.parents else None
        while step is not None:
            path.append(step)
            step = self.parents.get(step)
        path.reverse()
        return path

    def siblings_of(self, message_id: uuid.UUID) -> list[uuid.UUID]:
        """The messages with the same parent, this one included. Raises `KeyError` if it is not in the conversation."""
        return self.children[self.parents[message_id]]

    def newest_leaf(self, message_id: uuid.UUID) -> uuid.UUID:
        """The newest of this message and its descendants."""
        descendants, to_visit = {message_id}, [message_id]
        while to_visit:
            replies = self.children.get(to_visit.pop(), [])
            descendants.update(replies)
            to_visit.extend(replies)
        return next(newest for newest in reversed(self.parents) if newest in descendants)
