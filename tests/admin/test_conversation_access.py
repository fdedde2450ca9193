"""An admin reads a conversation of another user: with a permission, with a reason, and recorded."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from chat.admin import pages
from chat.models import Conversation, ConversationReading
from tests.admin.rows import REASON, SECRET, staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(addresses: dict[str, str]) -> str:
    return addresses["admin:chat_read"]


def test_the_page_first_asks_for_a_reason(address: str) -> None:
    assert SECRET not in staff(pages.READ_CONVERSATIONS).get(address).content.decode()
    assert not ConversationReading.objects.exists()


@pytest.mark.parametrize("reason", ["", "   ", "because", "..................."])
def test_a_reason_that_says_nothing_is_rejected(address: str, reason: str) -> None:
    response = staff(pages.READ_CONVERSATIONS).post(address, {"reason": reason})
    assert SECRET not in response.content.decode()
    assert not ConversationReading.objects.exists()


def test_with_a_reason_the_text_is_shown_and_escaped(address: str) -> None:
    html = staff(pages.READ_CONVERSATIONS).post(address, {"reason": REASON}).content.decode()
    assert f"{SECRET} &lt;b&gt;question&lt;/b&gt;" in html
    assert f"{SECRET} answer" in html
    assert "alice" in html


def test_the_access_is_recorded_for_the_owner(address: str, chat: Conversation) -> None:
    staff(pages.READ_CONVERSATIONS).post(address, {"reason": REASON})
    reading = ConversationReading.objects.get()
    assert (reading.conversation_id, reading.owner_id, reading.reader_name) == (chat.pk, 1, "sam")


def test_the_access_is_in_the_admin_log_without_text(address: str, chat: Conversation) -> None:
    staff(pages.READ_CONVERSATIONS).post(address, {"reason": REASON})
    entry = LogEntry.objects.get()
    assert entry.object_id == str(chat.pk)
    assert REASON in entry.change_message
    assert SECRET not in entry.object_repr + entry.change_message


def test_every_access_counts_and_is_shown_to_the_owner(address: str, boss: Client, chat: Conversation) -> None:
    for _ in range(2):
        boss.post(address, {"reason": REASON})
    readings = ConversationReading.objects.for_conversation(chat.pk)
    assert len(readings) == LogEntry.objects.count() == 2
    shown = render_to_string("chat/_readings.html", {"readings": readings})
    assert shown.count(REASON) == 2
    assert "boss" in shown


@pytest.fixture
def _deleted(chat: Conversation) -> None:
    Conversation.objects.filter(pk=chat.pk).update(deleted_at=timezone.now())


@pytest.mark.usefixtures("_deleted")
def test_a_deleted_conversation_is_not_found(address: str, boss: Client) -> None:
    for response in (boss.get(address), boss.post(address, {"reason": REASON})):
        assert response.status_code == 404


@pytest.mark.usefixtures("_deleted")
def test_the_ledger_does_not_link_to_a_deleted_conversation(addresses: dict[str, str], boss: Client) -> None:
    assert addresses["admin:chat_read"] not in boss.get(addresses["admin:chat_usagerecord_change"]).content.decode()


def test_a_ledger_row_links_to_its_conversation(addresses: dict[str, str], boss: Client) -> None:
    assert addresses["admin:chat_read"] in boss.get(addresses["admin:chat_usagerecord_change"]).content.decode()


def test_without_the_permission_a_ledger_row_has_no_link(addresses: dict[str, str]) -> None:
    html = staff(pages.SEE_USAGE).get(addresses["admin:chat_usagerecord_change"]).content.decode()
    assert addresses["admin:chat_read"] not in html
