"""The forms of users: deletion, superusers and limit overrides."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from chat.accounts import api_keys
from chat.models import Conversation, ConversationReading, DailyUsage, LimitOverride, Message, UsageRecord, User
from tests.admin.rows import staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def sam() -> User:
    """A user with a line in the admin log."""
    sam = User.objects.create_user("sam", is_staff=True)
    LogEntry.objects.create(user=sam, object_repr="a plan", action_flag=2)
    return sam


def delete(client: Client, *users: User) -> Any:
    """Confirm the deletion: of one user on their page, of several in the list."""
    if len(users) == 1:
        return client.post(reverse("admin:chat_user_delete", args=(users[0].pk,)), {"post": "yes"})
    data = {"action": "delete_selected", "_selected_action": [user.pk for user in users], "post": "yes"}
    return client.post(reverse("admin:chat_user_changelist"), data)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "with another user"])
def test_a_user_in_the_admin_log_cannot_be_deleted(alice: User, sam: User, boss: Client, together: bool) -> None:
    response = delete(boss, alice, sam) if together else delete(boss, sam)
    assert "sam wrote in the admin log" in response.content.decode()
    assert User.objects.filter(username__in=("alice", "sam")).count() == 2
    assert LogEntry.objects.filter(user=sam).exists()


@pytest.fixture
def long_conversation(alice: User) -> Conversation:
    conversation, parent = Conversation.objects.create(user=alice), None
    for number in range(1200):
        role = "assistant" if number % 2 else "user"
        parent = Message.objects.create(conversation=conversation, parent=parent, role=role, content="x")
    return conversation


def test_the_deletion_page_counts_what_is_deleted(alice: User, boss: Client, long_conversation: Conversation) -> None:
    page = boss.get(reverse("admin:chat_user_delete", args=(alice.pk,)))
    counts = dict(page.context["model_count"])
    assert counts == {"users": 1, "conversations": 1, "messages": 1200, "API keys": 0, "limit overrides": 0}
    assert page.context["deleted_objects"] == [alice]


def test_a_user_with_a_long_conversation_is_deleted(alice: User, boss: Client, long_conversation: Conversation) -> None:
    assert delete(boss, alice).status_code == 302
    assert not Message.objects.exists()


def test_deleting_a_user_takes_the_permission_to_delete_their_keys(alice: User) -> None:
    api_keys.create(alice, "laptop")
    permissions = ["chat.delete_user", "chat.view_user"]
    assert delete(staff(*permissions, name="lacking"), alice).status_code == 403
    assert delete(staff(*permissions, "chat.delete_apikey", name="having"), alice).status_code == 302


def test_the_amounts_and_the_accesses_of_a_deleted_user_stay(alice: User, boss: Client, ledger: UsageRecord) -> None:
    ConversationReading.objects.create(
        conversation_id=ledger.conversation_id, owner=alice, reader_name="boss", reason="x"
    )
    assert delete(boss, alice).status_code == 302
    assert not User.objects.filter(username="alice").exists()
    assert [(row.user_id, row.cost) for row in UsageRecord.objects.all()] == [(None, 1_500_000)]
    assert [(row.user_id, row.cost) for row in DailyUsage.objects.all()] == [(None, 1_500_000)]
    assert ConversationReading.objects.get().owner_id is None


def save(boss: Client, user: User, **changes: str) -> Any:
    """Post the form of a user with some changes; an empty one clears a checkbox."""
    address = reverse("admin:chat_user_change", args=(user.pk,))
    initial = boss.get(address).context["adminform"].form.initial
    values = {name: value for name, value in initial.items() if value not in (None, False, [])} | changes
    return boss.post(address, {name: value for name, value in values.items() if value != ""})


@pytest.fixture
def last_superuser(boss: Client) -> User:
    return User.objects.get(is_superuser=True)


@pytest.mark.parametrize("checkbox", ["is_superuser", "is_active"])
def test_the_last_superuser_keeps_their_rights(boss: Client, last_superuser: User, checkbox: str) -> None:
    assert b"This is the last superuser." in save(boss, last_superuser, **{checkbox: ""}).content
    last_superuser.refresh_from_db()
    assert (last_superuser.is_active, last_superuser.is_superuser) == (True, True)


def test_other_fields_of_the_last_superuser_can_be_changed(boss: Client, last_superuser: User) -> None:
    assert save(boss, last_superuser, first_name="Sam").status_code == 302
    last_superuser.refresh_from_db()
    assert last_superuser.first_name == "Sam"


def test_one_of_two_superusers_may_lose_their_rights(boss: Client, last_superuser: User) -> None:
    other = User.objects.create_superuser("other")
    assert save(boss, other, is_superuser="").status_code == 302
    assert b"This is the last superuser." in save(boss, last_superuser, is_active="").content


def test_the_last_superuser_cannot_be_deleted(boss: Client, last_superuser: User) -> None:
    assert b"No superuser would be left." in delete(boss, last_superuser).content


def test_all_superusers_cannot_be_deleted_together(boss: Client, last_superuser: User) -> None:
    assert b"No superuser would be left." in delete(boss, last_superuser, User.objects.create_superuser("x")).content


@pytest.fixture
def override(alice: User, boss: Client, settings: Any) -> LimitOverride:
    """A limit override that an admin in Berlin has added."""
    settings.TIME_ZONE = "Europe/Berlin"
    fields = {"user": alice.pk, "rule": "cost_per_day", "value": 5, "reason": "x", "expires_at": "2027-07-01T18:30"}
    assert boss.post(reverse("admin:chat_limitoverride_add"), fields).status_code == 302
    return LimitOverride.objects.get(user=alice)


def test_a_time_is_entered_in_the_zone_of_the_site(override: LimitOverride) -> None:
    assert override.expires_at == dt.datetime(2027, 7, 1, 16, 30, tzinfo=dt.UTC)


def test_a_time_is_shown_in_the_zone_of_the_site(override: LimitOverride, boss: Client) -> None:
    page = boss.get(reverse("admin:chat_limitoverride_change", args=(override.pk,))).content
    assert b'value="2027-07-01T18:30:00"' in page


def test_who_added_an_override_is_recorded(override: LimitOverride) -> None:
    assert override.created_by.get_username() == "boss"
