"""Databases of earlier versions: they are loaded, migrated by today's code and used.

`tests/data/VERSION.VENDOR.sql` is what a version wrote, the JSON file beside it what it showed;
`tests/make_dumps.py` makes both. Whatever a later version changes, each dump must pass all of this.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests import dumps
from tests.conftest import require_service
from tests.contract_site import status_of_last
from tests.facts import Facts, conversation_of, ids_found, limits, printed, usage
from tests.fakes import FakeProvider, text
from tests.services import postgres_answers, postgres_database
from tests.site import Person, Site, ids_in
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

NAMES = sorted(path.name.removesuffix(".sql") for path in dumps.FOLDER.glob("*.sql"))


class Upgraded:
    """A site on a dump that today's code has migrated and serves. `alice` has a browser with her old session."""

    def __init__(self, site: Site, facts: Facts, upstream: FakeProvider) -> None:
        self.site, self.facts, self.upstream = site, facts, upstream
        self.migrated = site.manage("migrate", "--verbosity", "0", check=False)
        site.start()
        self.alice = site.person("alice", sessionid=facts["session"])
        self.bob = site.person("bob")

    @property
    def people(self) -> dict[str, Person]:
        return {"alice": self.alice, "bob": self.bob}

    def api(self, key: str) -> httpx2.Response:
        """Asks for the running answer of a chat in which none runs."""
        headers = {"Authorization": f"Bearer {self.facts['api_keys'][key]}"}
        return httpx2.get(f"{self.site.url}/api/chat/client-chat/stream", headers=headers)

    def conversations(self) -> Iterator[tuple[Person, str, Facts]]:
        for name, chats in self.facts["conversations"].items():
            for chat, facts in chats.items():
                yield self.people[name], chat, facts


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The dump in a database of its own; yields what the environment says of it."""
    sql = (dumps.FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    if name.endswith("sqlite"):
        dumps.load_sqlite(sql, folder / "site.sqlite3")
        yield {}
        return
    if not postgres_answers():
        require_service("PostgreSQL does not answer")
    with postgres_database() as url:
        dumps.load_postgresql(sql, url)
        yield {"DATABASE_URL": url}


@pytest.fixture(scope="module", params=NAMES)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    facts = json.loads((dumps.FOLDER / f"{request.param}.json").read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("upgraded")
    with FakeProvider() as upstream, database(request.param, folder) as env:
        settings = {"DJANGO_SETTINGS_MODULE": "chatsite.settings", "OPENAI_BASE_URL": upstream.url}
        site = Site(folder, OPENAI_API_KEY="sk-test", **settings, **env)
        try:
            yield Upgraded(site, facts, upstream)
        finally:
            site.stop()


def test_there_is_a_dump_of_both_databases() -> None:
    assert {name.rpartition(".")[2] for name in NAMES} == {"sqlite", "postgresql"}


# Migrating


def test_the_dump_is_migrated(upgraded: Upgraded) -> None:
    assert upgraded.migrated.returncode == 0, upgraded.migrated.stderr


def test_nothing_is_left_to_migrate(upgraded: Upgraded) -> None:
    assert upgraded.site.manage("migrate", "--check", check=False).returncode == 0


# Who may come in


def test_an_old_session_is_still_logged_in(upgraded: Upgraded) -> None:
    assert upgraded.alice.http.get("/settings/").status_code == 200


def test_nobody_is_logged_in_by_another_session(upgraded: Upgraded) -> None:
    stranger = upgraded.site.person("nobody", sessionid="a" * 32)
    assert stranger.http.get("/settings/").status_code == 302


def test_an_old_password_opens_the_account(upgraded: Upgraded) -> None:
    assert upgraded.bob.http.get("/settings/").status_code == 200


def test_an_old_api_key_works(upgraded: Upgraded) -> None:
    assert upgraded.api("usable").status_code == 204


@pytest.mark.parametrize("key", ["revoked", "expired"])
def test_an_api_key_that_had_ended_does_not_work(upgraded: Upgraded, key: str) -> None:
    assert upgraded.api(key).status_code == 401


# Conversations


def test_conversations_hold_the_same_messages(upgraded: Upgraded) -> None:
    for person, chat, facts in upgraded.conversations():
        assert conversation_of(person, chat)["export"] == facts["export"]


def test_conversations_show_the_same_branch(upgraded: Upgraded) -> None:
    for person, chat, facts in upgraded.conversations():
        shown = conversation_of(person, chat)
        assert (shown["articles"], shown["statuses"]) == (facts["articles"], facts["statuses"])


def test_the_words_of_each_message_are_on_the_page(upgraded: Upgraded) -> None:
    for person, chat, facts in upgraded.conversations():
        page = person.http.get(f"/c/{chat}/").text
        shown = {line.split()[1] for line in facts["articles"]}
        for message in facts["export"]["messages"]:
            if message["id"] in shown:
                assert all(word in page for word in re.findall(r"\w+", message["content"]))


def test_the_sidebar_lists_the_same_titles(upgraded: Upgraded) -> None:
    page = upgraded.alice.http.get("/").text
    for facts in upgraded.facts["conversations"]["alice"].values():
        assert facts["export"]["title"] in page


def test_the_chat_that_an_api_client_named_is_listed_and_the_nameless_one_is_not(upgraded: Upgraded) -> None:
    assert upgraded.alice.http.get("/").text.count("<bdi>Who calls the API?</bdi>") == 1


@pytest.mark.parametrize("title", ["A secret that is deleted", "A question that fails"])
def test_what_is_deleted_or_of_another_person_is_not_listed(upgraded: Upgraded, title: str) -> None:
    assert title not in upgraded.alice.http.get("/").text


def test_one_person_cannot_read_the_conversation_of_another(upgraded: Upgraded) -> None:
    for chat in upgraded.facts["conversations"]["alice"]:
        assert upgraded.bob.http.get(f"/c/{chat}/").status_code == 404


def test_an_answer_that_ran_when_its_server_was_killed_is_closed_with_its_text(upgraded: Upgraded) -> None:
    chat = upgraded.facts["running"]
    wait_until(lambda: status_of_last(upgraded.alice, chat) == "interrupted", timeout=60)
    assert "were saved" in upgraded.alice.http.get(f"/c/{chat}/export/?format=json").text


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_search_finds_the_same(upgraded: Upgraded, name: str) -> None:
    for query, found in upgraded.facts["search"][name].items():
        assert ids_found(upgraded.people[name], query) == found, query


# Going on


def test_a_message_that_was_sent_before_is_not_sent_again(upgraded: Upgraded) -> None:
    asked = len(upgraded.upstream.chats())
    repeated = upgraded.facts["repeated"]
    chat, answer = ids_in(upgraded.alice.send(repeated["prompt"], key=repeated["client_key"]))
    assert f"assistant {answer}" in upgraded.facts["conversations"]["alice"][chat]["articles"]
    assert len(upgraded.upstream.chats()) == asked


def test_an_old_conversation_goes_on_with_what_was_said(upgraded: Upgraded) -> None:
    chat, facts = next(iter(upgraded.facts["conversations"]["alice"].items()))
    upgraded.upstream.enqueue(text("It works now."))
    assert upgraded.alice.ask("And now?", chat)[2] == "It works now."
    contents = {message["id"]: message["content"] for message in facts["export"]["messages"]}
    branch = [contents[line.split()[1]] for line in facts["articles"]]
    said = [turn["content"] for turn in upgraded.upstream.chats()[-1]["json"]["messages"] if turn["role"] != "system"]
    assert said == [*branch, "And now?"]


def test_the_instructions_of_a_person_are_still_sent(upgraded: Upgraded) -> None:
    upgraded.alice.ask("Are you there?")
    first = upgraded.upstream.chats()[-1]["json"]["messages"][0]
    assert (first["role"], first["content"]) == ("system", "Answer in one sentence.")


# Numbers


def test_the_daily_totals_add_up_to_the_usage_ledger(upgraded: Upgraded) -> None:
    checked = upgraded.site.manage("usage", "--check", check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_usage_of_the_days_before_is_the_same(upgraded: Upgraded) -> None:
    kept = upgraded.facts["usage"]
    assert usage(upgraded.site, kept["since"], kept["until"]) == kept


def test_the_limits_of_each_person_are_the_same(upgraded: Upgraded) -> None:
    kept = upgraded.facts["limits"]
    assert limits(upgraded.site, *kept) == kept


def test_models_and_prices_are_the_same(upgraded: Upgraded) -> None:
    kept = {row["name"]: row for row in upgraded.facts["models"]}
    found = {row["name"]: row for row in printed(upgraded.site, "models list")[0]}
    assert {name: {key: found[name][key] for key in row} for name, row in kept.items()} == kept


# The admin


def test_staff_sees_the_ledger(upgraded: Upgraded) -> None:
    page = upgraded.site.person("sam").http.get("/admin/chat/usagerecord/")
    assert page.status_code == 200
    assert "alice" in page.text


def test_the_owner_sees_who_read_a_conversation(upgraded: Upgraded) -> None:
    page = upgraded.alice.http.get("/settings/").text
    for reason in upgraded.facts["readings"]:
        assert reason in page
