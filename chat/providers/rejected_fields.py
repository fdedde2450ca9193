"""The optional request fields that a server has rejected."""

from __future__ import annotations

import threading


class RejectedFields:
    """Rejected fields by server (base URL), for all its models or for one. One per process; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[tuple[str, str], frozenset[str]] = {}

    def get(self, base_url: str, model: str) -> frozenset[str]:
        """The fields to leave out of a request for `model`."""
        nothing: frozenset[str] = frozenset()
        return self._fields.get((base_url, ""), nothing) | self._fields.get((base_url, model), nothing)

    def add(self, fields: frozenset[str], base_url: str, model: str = "") -> None:
        """Remember `fields` for one model of the server, or for all of them."""
        key = (base_url, model)
        with self._lock:
            self._fields[key] = self._fields.get(key, frozenset()) | fields
