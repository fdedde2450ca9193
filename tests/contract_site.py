"""What a running site shows of its contract: pages, log, metrics, output of commands, records in Redis.

Used by the tests and by `python -m tests.record_contract`. The answers of the model are scripted, so that every
kind of article, log line and metric is there.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import msgpack  # type: ignore[import-untyped]
from websockets.sync.client import connect

from tests import contract, facts
from tests.fakes import DONE, FakeProvider, Gate, Script, Send, chunk, close_after, error, gated, text, usage_chunk
from tests.site import Person, Site, ids_in, token_in
from tests.waiting import wait_until

# Known client keys give known ids. They are used with alice, the first user of a new site.
FIRST_KEY = "0b6f2a4e-7f5d-4c43-9d6e-2f1f6f0c0001"
EDIT_KEY = "0b6f2a4e-7f5d-4c43-9d6e-2f1f6f0c0002"
CHAT_ID = "contract-chat"
LIMITS = (
    "from chat.models import Plan\n"
    "Plan.objects.update(requests_per_minute=60, requests_per_day=1000, tokens_per_minute=500_000,"
    " tokens_per_day=2_000_000, tokens_per_month=9_000_000, cost_per_day=5_000_000, cost_per_month=50_000_000,"
    " concurrent_answers=5)"
)
COMMANDS = (
    "usage --by user",
    "limits show alice",
    "limits explain alice",
    "models list",
    "models sync",
    "apikey list",
    "prune",
)


def block(name: str) -> str:
    """Lines for the shell that allow this person no message."""
    return (
        "from chat.models import LimitOverride, User\n"
        f"LimitOverride.objects.create(user=User.objects.get(username={name!r}), rule='requests_per_day', value=0)"
    )


def thinking(*words: str) -> Script:
    """An answer with some reasoning before its words."""
    steps = [Send(chunk(reasoning_content="I think. ")), *(Send(chunk(word)) for word in words)]
    return Script([*steps, Send(chunk(finish="stop")), Send(usage_chunk()), Send(DONE)])


def articles_in(person: Person, chat: str) -> list[dict[str, Any]]:
    return contract.articles(person.http.get(f"/c/{chat}/").text)


def status_of_last(person: Person, chat: str) -> str:
    return str(articles_in(person, chat)[-1]["own"]["data-status"])


def ended(person: Person, chat: str) -> dict[str, Any]:
    """The last article of a conversation once its answer has ended."""
    wait_until(lambda: status_of_last(person, chat) not in ("pending", "streaming"))
    return articles_in(person, chat)[-1]


class Observed:
    """A site on SQLite and memory on which one of everything has happened, each thing once."""

    def __init__(self, site: Site, upstream: FakeProvider) -> None:
        self.site, self.upstream = site, upstream
        site.shell(block("bob"))
        self.api_key = site.manage("apikey", "create", "alice", "--name", "contract").stdout.strip()
        site.start()
        self.alice, self.bob, self.sam = (site.person(name) for name in ("alice", "bob", "sam"))
        self.articles = self._articles()

    def _articles(self) -> dict[str, Any]:
        self.first = self._send("Hello", thinking("Hel", "lo"), key=FIRST_KEY)
        found = {"question": articles_in(self.alice, self.first[0])[0], "complete": ended(self.alice, self.first[0])}
        scripts = {
            "truncated": text("much", finish="length"),
            "interrupted": close_after("some "),
            "failed": error(400),
        }
        for status, script in scripts.items():
            found[status] = ended(self.alice, self._send(status, script)[0])
        gate = Gate()
        chat, answer = self._send("running", gated(gate))
        gate.wait_until_reached()
        wait_until(lambda: status_of_last(self.alice, chat) == "streaming")
        found["streaming"] = articles_in(self.alice, chat)[-1]
        self.alice.post(f"/m/{answer}/stop/")
        found["stopped"] = ended(self.alice, chat)
        gate.open()
        return found

    def _send(self, prompt: str, script: Script, **fields: Any) -> tuple[str, str]:
        self.upstream.enqueue(script)
        return ids_in(self.alice.send(prompt, **fields))

    def refusal(self) -> httpx2.Response:
        return self.bob.send("Hello")

    def log_keys(self) -> dict[str, Any]:
        """Keys of the lines that a request and an answer leave, by what tells them apart."""
        lines = contract.log_lines(self.site.log)
        request = next(line for line in lines if line.get("http.route") == "/c/")
        answer = next(line for line in lines if line.get("error.type") == "")
        return {"request": sorted(request), "generation": sorted(answer), "request logger": request["logger"]}

    def metrics(self) -> dict[str, Any]:
        self.refusal()
        return contract.metrics(self.alice.http.get("/metrics").text)

    def command_output(self) -> dict[str, Any]:
        """CSV columns and JSON keys of the commands that print rows."""
        values = facts.printed(self.site, *COMMANDS)
        sheets = facts.printed(self.site, *COMMANDS, form="csv")
        return {
            line: {"csv": contract.header_of(sheet), "json": contract.keys_of(value)}
            for line, sheet, value in zip(COMMANDS, sheets, values, strict=True)
        }

    def exports(self) -> dict[str, Any]:
        """Keys of the documents that hold a person's data."""
        chat = self.first[0]
        return {
            "manage.py export": contract.keys_of(json.loads(self.site.manage("export", "alice").stdout)),
            "one conversation": contract.keys_of(self.alice.http.get(f"/c/{chat}/export/?format=json").json()),
            "all conversations": contract.keys_of(self.alice.http.get("/export/?format=json").json()),
        }

    def admin_sheets(self) -> dict[str, str]:
        """CSV columns of the admin's downloads."""
        page = self.sam.http.get("/admin/chat/usagerecord/").text
        row = re.search(r'name="_selected_action" value="(\d+)"', page)
        assert row, page
        data = {"action": "as_csv", "_selected_action": row[1], "csrfmiddlewaretoken": token_in(page)}
        found = {"ledger": contract.header_of(self.sam.http.post("/admin/chat/usagerecord/", data=data).text)}
        for dimension in ("user", "group", "model", "day"):
            sheet = self.sam.http.get(f"/admin/chat/usagerecord/dashboard/?format=csv&by={dimension}").text
            found[f"dashboard by {dimension}"] = contract.header_of(sheet)
        return found

    def api(self, path: str, body: Any, *, key: str | None = None, method: str = "POST") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.api_key if key is None else key}"}
        with httpx2.Client(base_url=self.site.url, timeout=30) as http:
            return http.request(method, path, json=body, headers=headers)

    def api_errors(self) -> dict[str, Any]:
        """Status, type and keys of refusals, by the dialect they are asked in."""
        bobs = self.site.manage("apikey", "create", "bob", "--name", "contract").stdout.strip()
        user = {"role": "user", "content": "Hello"}
        ui = {"role": "user", "id": "1", "parts": [{"type": "text", "text": "Hello"}]}
        asked = {
            "unknown dialect": {"nothing": 1},
            "sse": {"messages": [user]},
            "data": {"id": "x", "messages": [user]},
            "ui": {"id": "y", "messages": [ui], "trigger": "submit-message"},
        }
        found = {name: _refusal(self.api("/api/chat", body, key=bobs)) for name, body in asked.items()}
        found["no key"] = _refusal(self.api("/api/chat", {"nothing": 1}, key="cs_wrong"))
        return found

    def ids(self) -> dict[str, Any]:
        """Ids that follow from the user and the client's keys, as pages and streams show them."""
        page = self.alice.http.get(f"/c/{self.first[0]}/").text
        question = re.search(r'id="m-([0-9a-f-]{36})" data-role="user"', page)
        assert question, page
        self.upstream.enqueue(text("edited"))
        edited = self.alice.post(f"/m/{question[1]}/edit/", {"prompt": "Hello?", "client_key": EDIT_KEY})
        shown = contract.ids_of_articles(edited.text)
        return {
            "conversation": self.first[0],
            "question": question[1],
            "answer": self.first[1],
            "edit": shown,
            "api": self._api_ids(),
        }

    def _api_ids(self) -> dict[str, str]:
        """The answer's id in a chat whose messages the client numbers, and that of another answer to the same."""
        message = {"role": "user", "id": "1", "parts": [{"type": "text", "text": "Hello"}]}
        body = {"id": CHAT_ID, "messages": [message], "trigger": "submit-message"}
        found = {}
        for name, more in {"sent": {}, "again": {"trigger": "regenerate-message", "messageId": "1"}}.items():
            self.upstream.enqueue(text("Hel", "lo"))
            stream = self.api("/api/chat", {**body, **more}).text
            match = re.search(r'"messageId":"([0-9a-f-]{36})"', stream)
            assert match, stream
            found[name] = match[1]
        return found


def safety_identifier(site: Site, upstream: FakeProvider) -> str:
    """What OpenAI itself is told about alice in place of her name."""
    site.env |= {
        "OPENAI_BASE_URL": f"http://fake.api.openai.com:{upstream.port}/v1",
        "DJANGO_SETTINGS_MODULE": "tests.openai_settings",
    }
    site.start()
    site.person("alice").ask("Hello")
    return str(upstream.chats()[0]["json"]["safety_identifier"])


def _refusal(response: httpx2.Response) -> dict[str, Any]:
    kind = response.headers["Content-Type"].split(";")[0]
    found: dict[str, Any] = {"status": response.status_code, "type": kind}
    if kind.endswith("json"):
        found["keys"] = sorted(response.json())
        found["code"] = response.json().get("code", "")
    return found


# Redis


def pattern(value: str) -> str:
    """A value with `9` for every number, `*` for every UUID and one item for each list of equal ones."""
    numbered = re.sub(r"\d+", "9", re.sub(contract.UUID, "*", value))
    return re.sub(r"( 9:[9*])+", r"\1", numbered)


@contextlib.contextmanager
def open_page(person: Person) -> Iterator[Any]:
    """The WebSocket of one of this person's pages."""
    base = str(person.http.base_url).rstrip("/")
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    options: dict[str, Any] = {"origin": base, "additional_headers": {"Cookie": cookies}}
    with connect(base.replace("http", "ws", 1) + "/ws/", **options) as page:
        page.recv(timeout=15)
        yield page


class ObservedRedis:
    """A site of two processes on Redis: an answer that one of them owns is read and stopped through the other.

    Before that, a message was refused, an answer failed and a password was wrong.
    """

    def __init__(self, site: Site, upstream: FakeProvider, client: Any) -> None:
        self.client = client
        site.shell(LIMITS)
        site.shell(block("bob"))
        alice, there = (site.person("alice", site.start()) for _ in range(2))
        bob = site.person("bob")
        bob.send("refused")
        bob.http.cookies.clear()
        bob.log_in("wrong")
        upstream.enqueue(error(400))
        failed = ids_in(alice.send("fail"))[1]
        alice.answer(failed, "sse")
        with client.pubsub() as pubsub:
            pubsub.subscribe("chat__group__processes", "chat__group__person.1")
            answer = self._read_and_stop(alice, there, upstream)
            wait_until(lambda: self.entries(answer)[-1:] and self.entries(answer)[-1][0] == "Finished")
            self.notifications = self._received(pubsub)
        wait_until(lambda: answer not in str(self.records()["limits:1:rl:user:1"].keys()))
        self.answer = answer
        self.settled = self.records()
        self.events = self.entries(failed) + self.entries(answer)

    def _read_and_stop(self, here: Person, there: Person, upstream: FakeProvider) -> str:
        gate = Gate()
        words = [Send(chunk(reasoning_content="I think.")), Send(chunk("first "))]
        upstream.enqueue(Script([*words, gate, Send(chunk("last")), Send(DONE)]))
        with open_page(here):
            answer = ids_in(here.send("Hello"))[1]
            gate.wait_until_reached()
            wait_until(lambda: "first" in str(self.entries(answer)))
            with there.watch(answer) as response:
                assert next(response.iter_bytes())
            names = [name.decode() for name in self.client.pubsub_channels()]
            self.channels = sorted({re.sub("[0-9a-f]{32}", "*", name) for name in names})
            self.running = self.records()
            there.post(f"/m/{answer}/stop/")
            there.answer(answer)
            gate.open()
        return answer

    def raw_entries(self) -> list[Any]:
        """The entries of the answer that was stopped, as Redis gives them."""
        return list(self.client.xrange(f"chat:log:{self.answer}"))

    def entries(self, answer: str) -> list[Any]:
        """The events of an answer as they are written: type and fields."""
        entries = self.client.xrange(f"chat:log:{answer}")
        return [event for _id, fields in entries for event in json.loads(fields[b"e"])[1]]

    def event_types(self) -> dict[str, list[str]]:
        """The names of the fields of each type of event."""
        return {name: contract.keys_of(fields) for name, fields in self.events}

    def _received(self, pubsub: Any) -> dict[str, dict[str, str]]:
        """Every type of notification, once each, by the group it was sent to."""
        found = {}
        while (message := pubsub.get_message(timeout=1)) is not None:
            if message["type"] == "message":
                value = msgpack.unpackb(message["data"])
                group = re.sub(r"\d+$", "9", message["channel"].decode())
                found[f"{group} {value['type']}"] = {name: pattern(str(each)) for name, each in value.items()}
        return found

    def records(self) -> dict[str, dict[str, str]]:
        """The limiter's records by key."""
        return {
            key.decode(): {name.decode(): value.decode() for name, value in self.client.hgetall(key).items()}
            for key in sorted(self.client.keys("limits:*"))
        }

    def keys(self) -> list[str]:
        """All keys, with `*` for the id of an answer."""
        return sorted({re.sub(contract.UUID, "*", key.decode()) for key in self.client.keys("*")})

    def record_patterns(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for when, records in (("running", self.running), ("settled", self.settled)):
            for key, fields in records.items():
                found[f"{when} {key}"] = {pattern(name): pattern(value) for name, value in fields.items()}
        return found
