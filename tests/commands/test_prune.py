"""`manage.py prune` and the steps in which conversations are removed."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.utils import timezone

from chat.accounts import retention
from chat.models import Conversation, Message, ServerProcess, UsageRecord, User
from tests.commands.terminal import Terminal, add_conversation, add_usage

DUE = {"deleted": 1, "transient": 1, "old": 2, "rows": 1}


def prune_counts(out: str) -> dict[str, int]:
    return {row["what"].split()[0]: row["count"] for row in json.loads(out)}


@pytest.fixture
def kept(alice: User) -> set[uuid.UUID]:
    """The ids of conversations that are not due; `DUE` says what else there is."""
    now = timezone.now()
    kept = {
        add_conversation(alice).pk,
        add_conversation(alice, days_ago=80).pk,
        add_conversation(alice, deleted_at=now).pk,
        add_conversation(alice, transient=True).pk,
        add_conversation(alice, days_ago=400, status="streaming").pk,
    }
    add_conversation(alice, deleted_at=now - dt.timedelta(days=2))
    add_conversation(alice, days_ago=2, transient=True)
    add_conversation(alice, days_ago=100)
    add_conversation(alice, days_ago=101)
    old = now - dt.timedelta(hours=1)
    ServerProcess.objects.create(host="gone", pid=1, heartbeat_at=old)
    owner = ServerProcess.objects.create(host="gone", pid=2, heartbeat_at=old)
    Message.objects.filter(status="streaming").update(owner=owner)
    add_usage(alice)
    return kept


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]], ids=["default", "dry run"])
def test_without_yes_it_only_counts(manage: Terminal, kept: set[uuid.UUID], arguments: list[str]) -> None:
    code, out, err = manage("prune", "--older-than", "90d", "--format", "json", *arguments)
    assert (code, prune_counts(out)) == (0, DUE)
    assert "Nothing was removed" in err
    assert Conversation.objects.count() == 9


def test_without_an_age_old_conversations_are_not_due(manage: Terminal, kept: set[uuid.UUID]) -> None:
    assert "old" not in prune_counts(manage("prune", "--format", "json")[1])


def test_with_yes_it_removes_what_is_due_and_nothing_else(manage: Terminal, kept: set[uuid.UUID]) -> None:
    _code, out, _err = manage("prune", "--older-than", "90d", "--yes", "--format", "json")
    assert prune_counts(out) == DUE
    assert set(Conversation.objects.values_list("pk", flat=True)) == kept
    assert [process.pid for process in ServerProcess.objects.all()] == [2], "it owns a running answer"
    assert UsageRecord.objects.count() == 1


def test_a_long_conversation_is_removed_in_short_transactions(
    manage: Terminal, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 10)
    conversation = add_conversation(alice, days_ago=100)
    for _ in range(40):
        conversation.head = Message.objects.create(conversation=conversation, parent=conversation.head, role="user")
    sizes = []
    queryset_class = Message.objects.none().__class__
    real_delete = queryset_class.delete

    def delete(queryset: Any) -> Any:
        sizes.append(queryset.count())
        return real_delete(queryset)

    monkeypatch.setattr(queryset_class, "delete", delete)
    assert manage("prune", "--older-than", "90d", "--yes")[0] == 0
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()
    assert (len(sizes), max(sizes)) == (4, 10)


@pytest.fixture
def due(alice: User) -> tuple[Conversation, retention.RetentionRule]:
    """A conversation of 100 days, and the rule that it is due by."""
    add_conversation(alice, days_ago=100)
    (rule,) = [rule for rule in retention.retention_rules(dt.timedelta(days=90)) if rule.name == "old"]
    return retention.due_conversations(rule.condition).get(), rule


def test_a_conversation_that_was_used_meanwhile_is_not_removed(
    due: tuple[Conversation, retention.RetentionRule],
) -> None:
    conversation, rule = due
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=timezone.now())
    assert not retention.remove_conversation(conversation.pk, rule.condition)
    assert conversation.messages.count() == 2


def test_a_conversation_with_a_running_answer_is_not_removed(due: tuple[Conversation, retention.RetentionRule]) -> None:
    conversation, _rule = due
    conversation.messages.filter(role="assistant").update(status="pending")
    assert not retention.remove_conversation(conversation.pk)
    assert conversation.messages.count() == 2
