"""Sessions in the database that end for good some time after the login, however much they are used."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

SINCE = "_since"


class SessionStore(DatabaseStore):
    """Idle sessions end after `SESSION_COOKIE_AGE` seconds, all after `SESSION_ABSOLUTE_AGE`."""

    @classmethod
    def get_model_class(cls) -> Any:
        return DatabaseStore.get_model_class()

    def load(self) -> dict[str, Any]:
        data: dict[str, Any] = super().load()
        if time.time() - data.get(SINCE, time.time()) > settings.SESSION_ABSOLUTE_AGE:
            self._session_key = None
            return {}
        return data

    def cycle_key(self) -> None:
        """Django gives a session a new key at every login."""
        self[SINCE] = int(time.time())
        super().cycle_key()
