"""The API of one site, as clients over real sockets use it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.fakes import FakeProvider
from tests.site import Site
from tests.waiting import wait_until

WAIT = 10.0
BRANCH = """
    WITH RECURSIVE branch(id, role, status, content, parent_id, depth) AS (
        SELECT m.id, role, status, content, parent_id, 0 FROM chat_message m
        JOIN chat_conversation c ON c.head_id = m.id JOIN chat_user u ON u.id = c.user_id
        WHERE c.client_id = ? AND u.username = ?
        UNION ALL
        SELECT m.id, m.role, m.status, m.content, m.parent_id, depth + 1 FROM chat_message m
        JOIN branch ON m.id = branch.parent_id
    ) SELECT role, status, content FROM branch ORDER BY depth DESC
"""


class Api:
    """`keys` are personal API keys by name; only sam has a limit, of two messages a day.

    Each server of `urls` serves the same database.
    """

    def __init__(self, site: Site, upstream: FakeProvider, *servers: str) -> None:
        self.site = site
        self.upstream = upstream
        self.urls = {server: site.start(server) for server in servers}
        self.url = next(iter(self.urls.values()))
        made = site.shell(
            "import json; from chat.accounts import api_keys; from chat.models import Plan, User\n"
            "from chat.models import LIMIT_NAMES\n"
            "Plan.objects.update(**dict.fromkeys(LIMIT_NAMES))\n"
            "sam = User.objects.get(username='sam')\n"
            "sam.limit_overrides.create(rule='requests_per_day', value=2)\n"
            "print(json.dumps({u.username: api_keys.create(u, 'test')[1] for u in User.objects.all()}))"
        )
        self.keys: dict[str, str] = json.loads(made)
        self.http = httpx2.Client(timeout=30)

    def bearer(self, who: str = "alice") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def post(self, path: str, body: Any = None, who: str = "alice", **headers: str) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(
            self.url + path,
            content=content,
            headers={"Content-Type": "application/json", **self.bearer(who), **headers},
        )

    def get(self, path: str, who: str = "alice", **headers: str) -> httpx2.Response:
        return self.http.get(self.url + path, headers={**self.bearer(who), **headers})

    @contextlib.contextmanager
    def streaming(self, path: str, body: Any, server: str = "", who: str = "alice") -> Iterator[httpx2.Response]:
        url = self.urls[server] if server else self.url
        with self.http.stream("POST", url + path, json=body, headers=self.bearer(who)) as response:
            yield response

    def asked(self) -> list[list[tuple[str, str]]]:
        """The turns of each request that reached the model."""
        return [
            [(turn["role"], turn["content"]) for turn in request["json"]["messages"]]
            for request in self.upstream.chats()
        ]

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What a query finds in the site's database."""
        with contextlib.closing(sqlite3.connect(self.site.folder / "site.sqlite3")) as connection:
            return connection.execute(query, values).fetchall()

    def messages(self, chat_id: str, who: str = "alice") -> list[tuple[str, str, str]]:
        """Role, status and text of the active branch of a chat."""
        return self.rows(BRANCH, chat_id, who)

    def ended(self, chat_id: str, who: str = "alice") -> tuple[str, str, str]:
        """The newest answer of a chat, once it has ended."""

        def newest() -> tuple[str, str, str] | None:
            message = self.messages(chat_id, who)[-1]
            return None if message[1] in ("pending", "streaming") else message

        return wait_until(newest, WAIT)

    def close(self) -> None:
        self.http.close()
        self.site.stop()


@contextlib.contextmanager
def api_of_a_site(folder: Path, migrated: Path, *servers: str, **env: str) -> Iterator[Api]:
    shutil.copy(migrated, folder / "site.sqlite3")
    with FakeProvider() as upstream:
        site = Site(folder, **{"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", **env})
        api = Api(site, upstream, *(servers or ("daphne",)))
        try:
            yield api
        finally:
            api.close()


def says(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


def sent(chat_id: str, text: str, message_id: str = "m1", **more: Any) -> dict[str, Any]:
    """What `useChat` of version 5 and later posts for a message."""
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat_id, "trigger": "submit-message", "messages": [message], **more}
