"""Sessions in the database that end for good some time after the login, however much they are used."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import models
from django.utils import timezone

from chat.infra.prepared_queries import Parameter, PreparedQuery

SINCE = "_since"

_LIVE = PreparedQuery(
    lambda: DatabaseStore.get_model_class().objects.filter(
        session_key=Parameter("key", models.CharField()), expire_date__gt=Parameter("now", models.DateTimeField())
    )
)


class SessionStore(DatabaseStore):
    """Idle sessions end after `SESSION_COOKIE_AGE` seconds, all after `SESSION_ABSOLUTE_AGE`."""

    @classmethod
    def get_model_class(cls) -> Any:
        return DatabaseStore.get_model_class()

    def _get_session_from_db(self) -> Any:
        found = _LIVE.one(key=self.session_key, now=timezone.now())
        if found is None:
            self._session_key = None
        return found

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
