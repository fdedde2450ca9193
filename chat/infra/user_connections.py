"""Long-lived connections by user, with a limit for each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    def close_excess(self) -> None:
        """Called when the user has opened too many newer connections."""


C = TypeVar("C", bound=Closable)


class UserConnections(Generic[C]):
    """A user who opens more than `limit` connections loses the oldest one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_user: dict[int, OrderedDict[C, None]] = {}

    def __len__(self) -> int:
        return sum(len(connections) for connections in self._by_user.values())

    @contextmanager
    def open(self, user_id: int, connection: C) -> Iterator[None]:
        """Count the connection until the block ends."""
        own = self._by_user.setdefault(user_id, OrderedDict())
        own[connection] = None
        while len(own) > self._limit:
            own.popitem(last=False)[0].close_excess()
        try:
            yield
        finally:
            own.pop(connection, None)
            if not own and self._by_user.get(user_id) is own:
                del self._by_user[user_id]
