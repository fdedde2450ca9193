"""The session engine: sessions in the database that also end some time after the login, even if they are used."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import models
from django.utils import timezone

from chat.infra.prepared_queries import Parameter, PreparedQuery

LOGIN_TIME_KEY = "_since"
"""The entry of a session that holds the time of the login, in seconds since 1970."""

_UNEXPIRED = PreparedQuery(
    lambda: DatabaseStore.get_model_class().objects.filter(
        session_key=Parameter("key", models.CharField()), expire_date__gt=Parameter("now", models.DateTimeField())
    )
)


class SessionStore(DatabaseStore):
    """Unused sessions end after `SESSION_COOKIE_AGE` seconds, all sessions after `SESSION_ABSOLUTE_AGE` seconds."""

    @classmethod
    def get_model_class(cls) -> Any:
        return DatabaseStore.get_model_class()

    def load(self) -> dict[str, Any]:
        session = _UNEXPIRED.one(key=self.session_key, now=timezone.now())
        if session is None:
            return dict(super().load())  # finds nothing either, and drops the unknown key
        data: dict[str, Any] = self.decode(session.session_data)
        now = time.time()
        if now - data.get(LOGIN_TIME_KEY, now) > settings.SESSION_ABSOLUTE_AGE:
            self.flush()
            return {}
        return data

    def cycle_key(self) -> None:
        """Django calls this at every login."""
        self[LOGIN_TIME_KEY] = int(time.time())
        super().cycle_key()
