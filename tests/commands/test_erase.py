"""`manage.py erase`: a user is removed, the amounts of the usage ledger stay."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.test import Client

from chat.accounts import api_keys
from chat.management.commands import erase
from chat.models import ApiKey, Conversation, LimitOverride, Message, UsageRecord, User
from tests.commands.terminal import Terminal, add_conversation, add_usage


@pytest.fixture
def bob(alice: User) -> User:
    """Another user; alice and bob have one of everything."""
    bob = User.objects.create_user("bob")
    for user in (alice, bob):
        add_conversation(user)
        api_keys.create(user, "laptop")
        LimitOverride.objects.create(user=user, rule="requests_per_day", value=3, reason="new here")
        add_usage(user)
    return bob


@pytest.fixture
def client_of_alice(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_without_yes_it_only_counts(manage: Terminal, bob: User, client_of_alice: Client) -> None:
    code, out, err = manage("erase", "alice")
    assert code == 0
    assert "1 conversations with 2 messages, 1 API keys and 1 limit overrides. 1 ledger rows" in out
    assert "Nothing was erased" in err
    assert client_of_alice.get("/").status_code == 200


def test_with_yes_only_what_others_have_stays(manage: Terminal, bob: User) -> None:
    code, out, _err = manage("erase", "alice", "--yes")
    assert (code, out) == (0, "Erased alice: the account is removed. The usage ledger keeps the amounts.\n")
    assert list(User.objects.all()) == [bob]
    for model in (Conversation, ApiKey, LimitOverride):
        assert [row.user_id for row in model.objects.all()] == [bob.pk], model


def test_the_sessions_of_the_user_end(manage: Terminal, client_of_alice: Client) -> None:
    manage("erase", "alice", "--yes")
    assert client_of_alice.get("/").status_code == 302
    assert not Session.objects.exists()


def test_the_ledger_keeps_the_amounts_without_the_user(manage: Terminal, bob: User) -> None:
    manage("erase", "alice", "--yes")
    assert {(row.user_id, row.cost) for row in UsageRecord.objects.all()} == {(None, 7), (bob.pk, 7)}
    assert manage("usage", "--check")[0] == 0


@pytest.fixture
def logged_alice(alice: User) -> LogEntry:
    """Alice has changed something in the admin, and somebody has changed alice: the second line."""
    root = User.objects.create_superuser("root")
    alice.first_name, alice.is_staff = "Alice", True
    alice.save()
    add_usage(alice)
    LogEntry.objects.create(user=alice, object_repr="a plan", action_flag=CHANGE)
    return LogEntry.objects.create(
        user=root,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(alice.pk),
        object_repr="alice",
        action_flag=CHANGE,
    )


def test_a_user_in_the_admin_log_stays_as_an_empty_account(
    manage: Terminal, alice: User, logged_alice: LogEntry
) -> None:
    assert "empty account" in manage("erase", "alice", "--yes")[1]
    account = User.objects.get(pk=alice.pk)
    assert (account.username, account.email, account.first_name) == (f"erased-{alice.pk}", "", "")
    assert not account.is_active
    assert not account.is_staff
    assert not account.has_usable_password()


def test_the_admin_log_keeps_its_lines_without_the_name(manage: Terminal, logged_alice: LogEntry) -> None:
    manage("erase", "alice", "--yes")
    assert LogEntry.objects.count() == 2
    logged_alice.refresh_from_db()
    assert "alice" not in logged_alice.object_repr


def test_the_ledger_does_not_name_an_empty_account(manage: Terminal, logged_alice: LogEntry) -> None:
    manage("erase", "alice", "--yes")
    assert UsageRecord.objects.get().user_id is None
    assert manage("usage", "--check")[0] == 0


def test_the_last_superuser_is_not_erased(manage: Terminal) -> None:
    User.objects.create_superuser("root")
    assert manage("erase", "root", "--yes")[2] == "CommandError: This is the last superuser. Make another one first.\n"
    assert User.objects.get().is_active


@pytest.fixture
def running(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice has an answer whose process does not react."""
    monkeypatch.setattr(erase.Command, "wait_seconds", 0.3)
    add_conversation(alice, status="streaming")


def test_a_running_answer_delays_the_erasure_but_not_the_lockout(manage: Terminal, alice: User, running: None) -> None:
    code, _out, err = manage("erase", "alice", "--yes")
    assert code == 1
    assert "still running" in err
    alice.refresh_from_db()
    assert not alice.is_active


def test_it_can_be_repeated_when_the_answer_has_ended(manage: Terminal, running: None) -> None:
    manage("erase", "alice", "--yes")
    Message.objects.update(status="stopped")
    assert manage("erase", "alice", "--yes")[0] == 0
