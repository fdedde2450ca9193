"""While a new version replaces an old one, processes of both serve the same people side by side.

The old version is the one before the code base was rebuilt, taken from the repository's history; it
runs with the packages that are installed now. Both share one PostgreSQL and one Redis.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_service
from tests.contract_site import ended, open_page, status_of_last, thinking
from tests.facts import printed
from tests.fakes import FakeProvider, Gate, close_after, gated
from tests.services import RedisServer, postgres_database
from tests.site import ROOT, Person, Site, ids_in
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

OLD = "acd26a8"
BOTH_WAYS = pytest.mark.parametrize(("one", "other"), [("old", "new"), ("new", "old")])
STOPPED_WITHIN = 1.0
BUSY = 1.0  # what a machine that does much else may be late


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the old version."""
    archive = subprocess.run(["git", "archive", OLD], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this clone's history has no commit {OLD}")
    tree = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tree, filter="data")
    return tree


class Versions:
    """A process of each version; people use either by its name, `old` or `new`."""

    def __init__(self, sites: dict[str, Site], upstream: FakeProvider) -> None:
        self.sites, self.upstream = sites, upstream
        for site in sites.values():
            site.start()

    def person(self, version: str, name: str = "alice") -> Person:
        return self.sites[version].person(name)

    def stop(self) -> None:
        for site in self.sites.values():
            site.stop()


@pytest.fixture(scope="module")
def make_versions(
    old_tree: Path, migrated_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Versions]]:
    """Pairs of processes on databases that today's code has migrated, as it does before it replaces the old one."""
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    made: list[Versions] = []
    with FakeProvider() as upstream, postgres_database(migrated_postgres) as url:

        def make(**env: str) -> Versions:
            settings = {"DATABASE_URL": url, "REDIS_URL": server.url, "OPENAI_BASE_URL": upstream.url, **env}
            trees = {"old": old_tree, "new": ROOT}
            sites = {
                name: Site(tmp_path_factory.mktemp(name), root, OPENAI_API_KEY="sk-test", **settings)
                for name, root in trees.items()
            }
            made.append(Versions(sites, upstream))
            return made[-1]

        yield make
        for versions in made:
            versions.stop()
    server.stop()


# For each direction one person may have one answer at a time, and another may send two messages a day. All other tests
# share one person, whose minute must not run out on a fast machine.
LIMITED = """
from django.apps import apps
User, LimitOverride = apps.get_model("chat", "User"), apps.get_model("chat", "LimitOverride")
for version in ("old", "new"):
    for name, rule, value in (("busy", "concurrent_answers", 1), ("frugal", "requests_per_day", 2)):
        user = User.objects.create_user(f"{name}-{version}", password=f"{name}-{version}-password")
        LimitOverride.objects.create(user=user, rule=rule, value=value)
alice = User.objects.get(username="alice")
LimitOverride.objects.create(user=alice, rule="requests_per_minute", value=1000)
"""


@pytest.fixture(scope="module")
def versions(make_versions: Callable[..., Versions]) -> Versions:
    made = make_versions()
    made.sites["new"].shell(LIMITED)
    return made


@pytest.fixture
def upstream(versions: Versions) -> FakeProvider:
    return versions.upstream


def started(person: Person, upstream: FakeProvider, script: Any, prompt: str = "go") -> tuple[str, str]:
    upstream.enqueue(script)
    return ids_in(person.send(prompt))


def test_the_old_process_runs_the_old_code(versions: Versions, old_tree: Path) -> None:
    assert versions.sites["old"].shell("import chat; print(chat.__path__[0])").startswith(str(old_tree))


# Reading


@BOTH_WAYS
@pytest.mark.parametrize("protocol", ["text", "sse", "sse-json", "data", "ui", "html"])
def test_an_answer_of_one_is_read_from_the_other_while_it_grows(
    versions: Versions, upstream: FakeProvider, one: str, other: str, protocol: str
) -> None:
    gate = Gate()
    _chat, answer = started(versions.person(one), upstream, gated(gate, before=["first "], after=["last"]))
    gate.wait_until_reached()
    with versions.person(other).watch(answer, protocol) as response:
        pieces, seen = response.iter_text(), ""
        while "fir" not in seen:  # `sse` cuts words, lest a reader drops the spaces
            seen += next(pieces)
        assert "las" not in seen
        gate.open()
        seen += "".join(pieces)
    assert "las" in seen


@BOTH_WAYS
def test_the_reasoning_of_one_is_read_from_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    _chat, answer = started(versions.person(one), upstream, thinking("Hel", "lo"))
    assert "I think." in versions.person(other).answer(answer, "ui")


@BOTH_WAYS
def test_the_failure_of_one_is_told_by_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    chat, answer = started(versions.person(one), upstream, close_after("some "))
    reader = versions.person(other)
    assert '"type":"error"' in reader.answer(answer, "ui")
    assert ended(reader, chat)["own"]["inner data-code"] == "upstream-broken"


@BOTH_WAYS
def test_a_page_at_one_hears_of_a_message_sent_at_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    with open_page(versions.person(one)) as page:
        chat = versions.person(other).ask("Hear this")[0]
        wait_until(lambda: chat in page.recv(timeout=15))


# Stopping and leaving


@BOTH_WAYS
def test_stop_at_one_ends_an_answer_of_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    gate, there = Gate(), versions.person(other)
    chat, answer = started(versions.person(one), upstream, gated(gate, before=["kept "], after=["never"]))
    gate.wait_until_reached()
    request, begun = upstream.chats()[-1], time.monotonic()
    assert there.post(f"/m/{answer}/stop/").status_code == 204
    assert request["left"].wait(10)
    assert request["left_at"] - begun < STOPPED_WITHIN + BUSY
    assert ended(there, chat)["own"]["data-status"] == "stopped"
    gate.open()


@pytest.fixture(scope="module")
def cancelling(make_versions: Callable[..., Versions]) -> Versions:
    """Both end an answer when its last reader leaves."""
    return make_versions(CHAT_ON_DISCONNECT="cancel")


@BOTH_WAYS
def test_an_answer_of_one_ends_when_its_reader_leaves_the_other(cancelling: Versions, one: str, other: str) -> None:
    gate, upstream = Gate(), cancelling.upstream
    _chat, answer = started(cancelling.person(one), upstream, gated(gate))
    gate.wait_until_reached()
    request = upstream.chats()[-1]
    with cancelling.person(other).watch(answer) as response:
        assert next(response.iter_text()) == "first "
        assert not request["left"].is_set()
    assert request["left"].wait(10)
    gate.open()


# Sharing


@BOTH_WAYS
def test_who_logged_in_at_one_is_logged_in_at_the_other(versions: Versions, one: str, other: str) -> None:
    session = versions.person(one).http.cookies["sessionid"]
    visitor = versions.sites[other].person("alice", sessionid=session)
    assert visitor.http.get("/settings/").status_code == 200


@BOTH_WAYS
def test_a_message_sent_to_both_is_answered_once(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    key, asked = str(uuid.uuid4()), len(upstream.chats())
    first = ids_in(versions.person(one).send("only once", key=key))
    assert ids_in(versions.person(other).send("only once", key=key)) == first
    assert len(upstream.chats()) == asked + 1


@BOTH_WAYS
def test_running_answers_of_one_count_at_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    here, there = (versions.person(version, f"busy-{one}") for version in (one, other))
    gate = Gate()
    chat, _answer = started(here, upstream, gated(gate))
    gate.wait_until_reached()
    assert there.send("one more").status_code == 429
    gate.open()
    ended(there, chat)
    wait_until(lambda: there.send("and now").status_code == 200)


@BOTH_WAYS
def test_messages_sent_at_one_are_used_up_at_the_other(versions: Versions, one: str, other: str) -> None:
    here, there = (versions.person(version, f"frugal-{one}") for version in (one, other))
    statuses = [person.send("again").status_code for person in (here, there, here, there)]
    assert statuses == [200, 200, 429, 429]


def test_both_say_the_same_of_what_is_used(versions: Versions) -> None:
    versions.person("old").ask("Count this")
    versions.person("new").ask("And this")
    (old,), (new,) = (printed(versions.sites[each], "limits show alice") for each in ("old", "new"))
    used = {row["limit_name"]: row["used"] for row in old if row["limit_name"].endswith("_day")}
    assert used == {row["limit_name"]: row["used"] for row in new if row["limit_name"].endswith("_day")} != {}


# Dying


@BOTH_WAYS
def test_what_a_killed_process_of_one_left_is_closed_by_the_other(
    versions: Versions, upstream: FakeProvider, one: str, other: str
) -> None:
    site = versions.sites[one]
    first, url = site.port, site.start()  # a second process of this version, to be killed
    gate = Gate()
    chat, answer = started(site.person("alice", url), upstream, gated(gate, before=["saved "]))
    gate.wait_until_reached()
    reader = versions.person(other)
    wait_until(lambda: "saved" in reader.http.get(f"/c/{chat}/export/?format=json").text)
    site.kill()
    site.port = first
    wait_until(lambda: status_of_last(reader, chat) == "interrupted", timeout=60)
    assert "saved" in reader.http.get(f"/c/{chat}/export/?format=json").text
    assert "saved" in reader.answer(answer, "sse")
    gate.open()
