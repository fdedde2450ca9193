"""Write the dumps of one version: `python -m tests.make_dumps 0.1.0`.

Makes a site on SQLite and one on PostgreSQL, lets a few people use them over HTTP, and writes for each
`tests/data/VERSION.VENDOR.sql` and, beside it, a JSON file with what the next version must still show.
Run it when a version is released; `tests/test_migrate_from_dumps.py` takes every dump there is.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import uuid
from pathlib import Path

from tests import dumps
from tests.contract_site import ended
from tests.facts import Facts, conversation_of, ids_found, limits, printed, usage, usage_days
from tests.fakes import FakeProvider, Gate, Script, close_after, error, gated, text
from tests.services import postgres_database
from tests.site import Person, Site, ids_in, token_in
from tests.waiting import wait_until

PEOPLE = """
from django.apps import apps
from django.contrib.auth.models import Group, Permission
User, Plan, ChatModel = (apps.get_model("chat", name) for name in ("User", "Plan", "ChatModel"))
for name in ("alice", "bob"):
    User.objects.create_user(name, password=f"{name}-password")
sam = User.objects.create_user("sam", password="sam-password", is_staff=True)
sam.user_permissions.set(Permission.objects.filter(codename__in=("view_usagerecord", "read_conversations")))
User.objects.create_superuser("admin", password="admin-password")
team = Group.objects.create(name="Team")
team.user_set.add(User.objects.get(username="alice"))
plan = Plan.objects.create(
    name="Team", requests_per_minute=100, requests_per_day=500, tokens_per_minute=400_000, tokens_per_day=5_000_000,
    tokens_per_month=60_000_000, cost_per_day=2_000_000, cost_per_month=30_000_000, concurrent_answers=7,
)
plan.groups.add(team)
ChatModel.objects.filter(name="gpt-4o-mini").update(enabled=True, is_default=True)
ChatModel.objects.filter(name="gpt-4o").update(enabled=True)
ChatModel.objects.get(name="gpt-4o").groups.add(team)
User.objects.filter(username="alice").update(theme="dark", enter_sends=False, system_prompt="Answer in one sentence.")
"""
# Sessions and other things in time are moved so far ahead that they do not end while the dump is used.
LATER = """
import datetime as dt
from importlib import import_module
from django.apps import apps
from django.conf import settings
from django.utils import timezone
User, ApiKey, LimitOverride = (apps.get_model("chat", name) for name in ("User", "ApiKey", "LimitOverride"))
alice = User.objects.get(username="alice")
far_away = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
session = import_module(settings.SESSION_ENGINE).SessionStore({session!r})
session["_since"] = 4102444800
session.set_expiry(far_away)
session.save()
now = timezone.now()
ApiKey.objects.filter(name="expired").update(expires_at=now - dt.timedelta(days=1))
LimitOverride.objects.create(
    user=alice, rule="requests_per_day", value=1, reason="Ended", expires_at=now - dt.timedelta(days=1)
)
LimitOverride.objects.create(
    user=alice, rule="concurrent_answers", value=9, reason="A long one", expires_at=far_away
)
"""
# The days of the ledger lie before the day on which the dump is made: later days are free for the tests.
EARLIER = """
UPDATE chat_usagerecord SET day = {day_before}, created_at = {moment_before};
UPDATE chat_usagerecord SET day = {day_before}, created_at = {moment_before} WHERE status = 'complete';
UPDATE chat_dailyusage SET day = {day_before};
UPDATE chat_serverprocess SET host = 'old-server', pid = 1;
"""
DAYS = {
    "sqlite": {
        "day_before": "date(day, '-1 day')",
        "moment_before": "datetime(created_at, '-1 day')",
    },
    "postgresql": {
        "day_before": "day - 1",
        "moment_before": "created_at - interval '1 day'",
    },
}


SEARCHED = ("sea", "beutel", "everything", "secret", "program")


def key(name: str) -> str:
    """A client key that stays the same from dump to dump."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


class Story:
    """What happens on the site before it is dumped."""

    def __init__(self, site: Site, upstream: FakeProvider) -> None:
        self.site, self.upstream = site, upstream
        site.manage("migrate", "--verbosity", "0")
        site.shell(PEOPLE)
        self.keys = {
            name: site.manage("apikey", "create", user, "--name", name).stdout.strip()
            for name, user in {"usable": "alice", "revoked": "alice", "expired": "alice", "of bob": "bob"}.items()
        }
        site.manage("apikey", "revoke", self.keys["revoked"][:11])
        site.manage("limits", "set", "bob", "requests_per_day", "4", "--reason", "Four will do.")
        site.manage("models", "price", "gpt-4o-mini", "--prompt", "0.2", "--cached", "0.1", "--completion", "0.8")
        site.start()
        self.alice, self.bob, self.sam = (site.person(name) for name in ("alice", "bob", "sam"))
        self.conversations = {
            "branches": self._branches(),
            "stopped": self._stopped(),
            "interrupted": self._send(self.alice, "Tell me of the unfinished bridge", close_after("It was begun ")),
            "renamed": self._renamed(),
        }
        self.bobs = {
            "failed": self._send(self.bob, "A question that fails", error(400)),
            "truncated": self._send(self.bob, "Tell me everything", text("Everything is", finish="length")),
        }
        self._deleted()
        self.client_chat = self._api({"id": "client-chat", "trigger": "submit-message"})
        self._api({})
        self.bob.send("One too many")
        self._read()
        self.running = self._left_running()

    def _send(self, person: Person, prompt: str, script: Script, chat: str = "") -> str:
        self.upstream.enqueue(script)
        chat, _answer = ids_in(person.send(prompt, chat, key=key(prompt)))
        ended(person, chat)
        return chat

    def _branches(self) -> str:
        """Two answers to one question, two wordings of another."""
        chat = self._send(self.alice, "Which colour has the sky?", text("**Blue** ", "and sometimes *red*."))
        page = self.alice.http.get(f"/c/{chat}/").text
        answer = re.findall(r'id="m-([0-9a-f-]{36})" data-role="assistant"', page)[-1]
        self._act(chat, f"/m/{answer}/regenerate/", {"client_key": key("again")}, text("Grey, today."))
        self._send(self.alice, "And the sea?", text("Green 😀 and ", "`deep`:\n\n```python\nprint('sea')\n```"), chat)
        page = self.alice.http.get(f"/c/{chat}/").text
        question = re.findall(r'id="m-([0-9a-f-]{36})" data-role="user"', page)[-1]
        fields = {"client_key": key("edit"), "prompt": "And the ocean?"}
        self._act(chat, f"/m/{question}/edit/", fields, text("As the sea."))
        return chat

    def _act(self, chat: str, path: str, fields: dict[str, str], script: Script) -> None:
        self.upstream.enqueue(script)
        assert self.alice.post(path, fields).status_code == 200
        ended(self.alice, chat)

    def _stopped(self) -> str:
        gate = Gate()
        self.upstream.enqueue(gated(gate, before=["As much as ", "was said "]))
        chat, answer = ids_in(self.alice.send("Say very much", key=key("stopped")))
        gate.wait_until_reached()
        self.alice.post(f"/m/{answer}/stop/")
        ended(self.alice, chat)
        gate.open()
        return chat

    def _renamed(self) -> str:
        chat = self._send(self.alice, "Name a marsupial", text("The wombat."))
        self.alice.post(f"/c/{chat}/rename/", {"title": "Über Beuteltiere"})
        self.alice.post(f"/c/{chat}/settings/", {"model": "gpt-4o", "system_prompt": "Be short."})
        return chat

    def _deleted(self) -> None:
        chat = self._send(self.alice, "A secret that is deleted", text("Gone."))
        self.alice.post(f"/c/{chat}/delete/")

    def _api(self, body: dict[str, str]) -> str:
        """A question over the API, in a chat that the client names or in none."""
        message = {"role": "user", "id": "1", "parts": [{"type": "text", "text": "Who calls the API?"}]}
        self.upstream.enqueue(text("A program does."))
        headers = {"Authorization": f"Bearer {self.keys['usable']}"}
        answer = self.alice.http.post("/api/chat", json={"messages": [message], **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        return body.get("id", "")

    def _read(self) -> None:
        path = f"/admin/chat/conversationreading/read/{self.conversations['renamed']}/"
        token = token_in(self.sam.http.get(path).text)
        data = {"reason": "The owner asked for help with it.", "csrfmiddlewaretoken": token}
        assert "wombat" in self.sam.http.post(path, data=data).text

    def _left_running(self) -> str:
        """An answer that runs when its server is killed."""
        self.upstream.enqueue(gated(Gate(), before=["Words that ", "were saved "]))
        chat, _answer = ids_in(self.alice.send("Is anybody there?", key=key("running")))
        wait_until(lambda: "were saved" in self.alice.http.get(f"/c/{chat}/export/?format=json").text)
        return chat

    def facts(self) -> Facts:
        """What the site shows at the end; `EARLIER` has been done by then."""
        session = self.alice.http.cookies["sessionid"]
        self.site.shell(LATER.format(session=session))
        return {
            "session": session,
            "device": self.alice.http.cookies["device"],
            "api_keys": self.keys,
            "conversations": {
                name: {chat: conversation_of(person, chat) for chat in chats.values()}
                for name, person, chats in (
                    ("alice", self.alice, self.conversations),
                    ("bob", self.bob, self.bobs),
                )
            },
            "running": self.running,
            "repeated": {"prompt": "Name a marsupial", "client_key": key("Name a marsupial")},
            "search": {
                name: {
                    query: ids_found(person, query) for query in ("sea", "beutel", "everything", "secret", "program")
                }
                for name, person in (("alice", self.alice), ("bob", self.bob))
            },
            "limits": limits(self.site, "alice", "bob", "sam"),
            "models": printed(self.site, "models list")[0],
            "readings": ["The owner asked for help with it."],
        }


def move_back(site: Site, vendor: str) -> None:
    statements = [each.strip() for each in EARLIER.format(**DAYS[vendor]).split(";") if each.strip()]
    site.shell(f"from django.db import connection\nfor each in {statements!r}: connection.cursor().execute(each)")
    site.manage("usage", "--rebuild")


def make(vendor: str, version: str, folder: Path, **env: str) -> None:
    folder.mkdir()
    with FakeProvider() as upstream:
        settings = {"DJANGO_SETTINGS_MODULE": "chatsite.settings", "OPENAI_BASE_URL": upstream.url}
        site = Site(folder, OPENAI_API_KEY="sk-test", **settings, **env)
        try:
            story = Story(site, upstream)
            facts = story.facts()
            site.kill()
        finally:
            site.stop()
        move_back(site, vendor)
        facts["usage"] = usage(site, *usage_days(site))
    sql = (
        dumps.dump_sqlite(folder / "site.sqlite3") if vendor == "sqlite" else dumps.dump_postgresql(env["DATABASE_URL"])
    )
    (dumps.FOLDER / f"{version}.{vendor}.sql").write_text(sql, encoding="utf-8")
    facts_text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    (dumps.FOLDER / f"{version}.{vendor}.json").write_text(facts_text, encoding="utf-8")


def main(version: str) -> None:
    with tempfile.TemporaryDirectory() as name, postgres_database() as url:
        make("sqlite", version, Path(name) / "sqlite")
        make("postgresql", version, Path(name) / "postgresql", DATABASE_URL=url)


if __name__ == "__main__":
    main(sys.argv[1])
