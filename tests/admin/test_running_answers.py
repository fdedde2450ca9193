"""The list of running answers, and stopping one of them."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from chat.admin import pages
from chat.models import Message
from tests.admin.rows import SECRET, staff
from tests.fakes import FakeProvider, Gate, gated
from tests.site import Site

pytestmark = pytest.mark.django_db


def test_an_answer_is_listed_with_its_tokens(addresses: dict[str, str], boss: Client) -> None:
    (answer,) = boss.get(addresses["admin:chat_live"]).context["answers"]
    assert (answer.username, answer.model, answer.reserved_tokens) == ("alice", "gpt-4o", "1,800")
    assert answer.token_count == 100 + -(-(len(SECRET) + 400) // 4)


def test_the_list_reloads_itself_every_five_seconds(addresses: dict[str, str], boss: Client) -> None:
    assert boss.get(addresses["admin:chat_live"]).headers["Refresh"] == "5"


def test_a_paused_list_does_not_reload(addresses: dict[str, str], boss: Client) -> None:
    assert "Refresh" not in boss.get(addresses["admin:chat_live"] + "?paused").headers


def test_who_may_not_stop_answers_sees_no_button(addresses: dict[str, str]) -> None:
    html = staff(pages.SEE_USAGE).get(addresses["admin:chat_live"]).content.decode()
    assert "alice" in html
    assert addresses["admin:chat_stop"] not in html


# Stopping an answer reads the database from another thread, which does not see an open transaction.
in_committed_rows = pytest.mark.django_db(transaction=True)


@in_committed_rows
def test_stopping_an_answer_is_logged(addresses: dict[str, str], boss: Client, running: Message) -> None:
    boss.post(addresses["admin:chat_stop"])
    running.refresh_from_db()
    assert running.stop_requested
    assert str(running.pk) in LogEntry.objects.get(object_id="1").change_message


@in_committed_rows
def test_stopping_returns_to_the_page_it_was_asked_on(addresses: dict[str, str], boss: Client) -> None:
    response = boss.post(addresses["admin:chat_stop"], {"back": "person"})
    assert response.headers["Location"] == addresses["admin:chat_user_limits"]


@in_committed_rows
def test_an_unknown_answer_is_not_found(boss: Client) -> None:
    assert boss.post(reverse("admin:chat_stop", args=(uuid.uuid4(),))).status_code == 404


def test_stop_ends_the_answer_of_another_process(site: Site, upstream: FakeProvider) -> None:
    gate = Gate()
    upstream.enqueue(gated(gate, before=("half an answer",)))
    alice, sam = site.person("alice"), site.person("sam")
    sent = alice.send("hello")
    answer = re.search(r"/m/([0-9a-f-]{36})/stream/", sent.text)[1]
    gate.wait_until_reached()
    page, stop = reverse("admin:chat_live"), reverse("admin:chat_stop", args=(answer,))
    assert stop in sam.http.get(page).text
    assert sam.post(stop, htmx=False).status_code == 302
    assert site.shell(f"from chat.models import Message; print(Message.objects.get(pk='{answer}').status)") == "stopped"
    assert "No answer is running." in sam.http.get(page).text
    gate.open()
