"""Data export: everything stored about a user, as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from chat.models import SUMMED_COLUMNS, Conversation, ConversationReading, DailyUsage, Message, UsageRecord, User

USAGE_FIELDS = (
    "created_at",
    "day",
    "model",
    "status",
    "reason",
    "prompt_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "completion_tokens",
    "cost",
    "exact",
    "first_token_ms",
    "duration_ms",
    "conversation_id",
    "message_id",
)
MESSAGE_FIELDS = (
    "id",
    "parent_id",
    "role",
    "status",
    "model",
    "content",
    "reasoning",
    "prompt_tokens",
    "completion_tokens",
    "error_code",
    "created_at",
    "finished_at",
)


def export_account(user: User) -> Iterator[str]:
    """One JSON document in pieces. Only one conversation at a time is in memory."""
    yield "{\n"
    yield f'"account": {_json(_account(user))},\n'
    for name, rows in (
        ("limit_overrides", user.limit_overrides.values("rule", "value", "reason", "expires_at", "created_at")),
        ("api_keys", _api_keys(user)),
        ("readings_of_my_conversations", _readings(user)),
        (
            "daily_usage",
            DailyUsage.objects.filter(user=user).order_by("day", "model").values("day", "model", *SUMMED_COLUMNS),
        ),
        ("usage", UsageRecord.objects.filter(user=user).order_by("created_at", "pk").values(*USAGE_FIELDS)),
    ):
        yield f'"{name}": '
        yield from _array(rows.iterator(chunk_size=2000))
        yield ",\n"
    yield '"conversations": '
    yield from _array(conversation_data(each) for each in all_conversations(user).iterator(chunk_size=100))
    yield "\n}\n"


def all_conversations(user: User) -> QuerySet[Conversation]:
    """All conversations of a user, oldest first, with the deleted ones that still exist and the unlisted ones."""
    return Conversation.objects.filter(user=user).order_by("created_at", "pk")


def conversation_data(conversation: Conversation) -> dict[str, Any]:
    """A conversation with all its messages, for JSON."""
    messages = conversation.messages.order_by("created_at", "pk").values(*MESSAGE_FIELDS)
    return {
        "id": conversation.pk,
        "title": conversation.title,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "deleted_at": conversation.deleted_at,
        "active_message": conversation.head_id,
        "messages": list(messages),
    }


def conversation_markdown(conversation: Conversation) -> str:
    """The active branch as a Markdown document. The text of messages is not changed."""
    title = " ".join(conversation.title.split()) or str(conversation.pk)
    parts = [f"# {title}"]
    for message in conversation.active_branch():
        author = "You" if message.role == Message.Role.USER else message.model or "Assistant"
        parts.append(f"## {author} ({timezone.localtime(message.created_at):%Y-%m-%d %H:%M})")
        parts.append(message.content.strip("\n") or f"*({message.status})*")
    return "\n\n".join(parts) + "\n"


def _account(user: User) -> dict[str, Any]:
    names = (
        "username first_name last_name email is_active is_staff is_superuser date_joined last_login "
        "theme enter_sends system_prompt default_model"
    )
    groups = list(user.groups.order_by("name").values_list("name", flat=True))
    return {name: getattr(user, name) for name in names.split()} | {"groups": groups}


def _api_keys(user: User) -> QuerySet[Any, Any]:
    return user.api_keys.values("prefix", "name", "created_at", "last_used_at", "expires_at", "revoked_at")


def _readings(user: User) -> QuerySet[Any, Any]:
    return ConversationReading.objects.filter(owner=user).values("conversation_id", "reader_name", "reason", "read_at")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _array(items: Iterable[Any]) -> Iterator[str]:
    separator = "[\n"
    for item in items:
        yield separator + _json(item)
        separator = ",\n"
    yield "[]" if separator == "[\n" else "\n]"
