"""Everything of one person: handing it over, and erasing it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from chat.accounts import retention
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


def export(user: User) -> Iterator[str]:
    """One JSON document, piece by piece; a conversation at a time is in memory."""
    yield "{\n"
    yield f'"account": {_json(_account(user))},\n'
    for name, rows in (
        ("limit_overrides", user.limit_overrides.values("rule", "value", "reason", "expires_at", "created_at")),
        ("api_keys", _keys(user)),
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
    yield from _array(conversation_data(each) for each in conversations(user).iterator(chunk_size=100))
    yield "\n}\n"


def conversations(user: User) -> QuerySet[Conversation]:
    """All of them, also those deleted a moment ago and those that are not listed."""
    return Conversation.objects.filter(user=user).order_by("created_at", "pk")


def conversation_data(conversation: Conversation) -> dict[str, Any]:
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
    """The active branch as a document; what people and models wrote stays as it was written."""
    title = " ".join(conversation.title.split()) or str(conversation.pk)
    parts = [f"# {title}"]
    for message in conversation.active_branch():
        who = "You" if message.role == Message.Role.USER else message.model or "Assistant"
        parts.append(f"## {who} ({timezone.localtime(message.created_at):%Y-%m-%d %H:%M})")
        parts.append(message.content.strip("\n") or f"*({message.status})*")
    return "\n\n".join(parts) + "\n"


def _account(user: User) -> dict[str, Any]:
    names = (
        "username first_name last_name email is_active is_staff is_superuser date_joined last_login "
        "theme enter_sends system_prompt default_model"
    )
    groups = list(user.groups.order_by("name").values_list("name", flat=True))
    return {name: getattr(user, name) for name in names.split()} | {"groups": groups}


def _keys(user: User) -> QuerySet[Any, Any]:
    return user.api_keys.values("prefix", "name", "created_at", "last_used_at", "expires_at", "revoked_at")


def _readings(user: User) -> QuerySet[Any, Any]:
    return ConversationReading.objects.filter(owner=user).values("conversation_id", "reader_name", "reason", "read_at")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _array(items: Iterable[Any]) -> Iterator[str]:
    before = "[\n"
    for item in items:
        yield before + _json(item)
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """How much there is of a person. `ledger_rows` stay, without the person."""

    conversations: int
    messages: int
    api_keys: int
    limit_overrides: int
    ledger_rows: int
    wrote_admin_log: bool


def holdings(user: User) -> Holdings:
    return Holdings(
        conversations=conversations(user).count(),
        messages=Message.objects.filter(conversation__user=user).count(),
        api_keys=user.api_keys.count(),
        limit_overrides=user.limit_overrides.count(),
        ledger_rows=UsageRecord.objects.filter(user=user).count(),
        wrote_admin_log=LogEntry.objects.filter(user=user).exists(),
    )


def lock_out(user: User) -> None:
    """Ends the person's sessions and keys at once, and tells the owners of running answers to let go."""
    now = timezone.now()
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.end_sessions()
        user.api_keys.filter(revoked_at=None).update(revoked_at=now)
        Conversation.objects.filter(user=user, deleted_at=None).update(deleted_at=now)
        Message.objects.running().filter(conversation__user=user).update(stop_requested=True)


def running_answers(user: User) -> int:
    return Message.objects.running().filter(conversation__user=user).count()


def erase_account(user: User) -> bool:
    """Removes keys, overrides and the account, after its conversations have gone.

    False where the account stays as an empty shell: the admin log names it as the one who acted,
    and would lose those lines with it.
    """
    with transaction.atomic():
        of_user = ContentType.objects.get_for_model(User)
        LogEntry.objects.filter(content_type=of_user, object_id=str(user.pk)).update(object_repr=_shell_name(user))
        ConversationReading.objects.filter(reader=user).update(reader_name=_shell_name(user))
        if not LogEntry.objects.filter(user=user).exists():
            user.delete()
            return True
        _empty(user)
        return False


def end_sessions(user: User) -> int:
    """Removes the rows of the person's sessions; each has to be read, for what is in them is not searchable."""
    theirs = [
        session.pk
        for session in Session.objects.iterator(chunk_size=1000)
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    return Session.objects.filter(pk__in=theirs).delete()[0]


def _shell_name(user: User) -> str:
    return f"erased-{user.pk}"


def _empty(user: User) -> None:
    """Also takes the person out of the books, as removing the account would."""
    user.api_keys.all().delete()
    user.limit_overrides.all().delete()
    user.groups.clear()
    user.user_permissions.clear()
    UsageRecord.objects.anonymize(user.pk)
    DailyUsage.objects.filter(user=user).update(user=None)
    ConversationReading.objects.filter(owner=user).update(owner=None)
    ConversationReading.objects.filter(reader=user).update(reader=None)
    fresh = User(username=_shell_name(user), is_active=False, date_joined=user.date_joined)
    fresh.set_unusable_password()
    fresh.pk, fresh.session_epoch = user.pk, user.session_epoch + 1
    fresh.save(force_update=True)


def remove_conversations(user: User) -> int:
    """How many went; those with a running answer stay for the next call."""
    ids = conversations(user).values_list("pk", flat=True)
    return sum(retention.remove(conversation_id) for conversation_id in list(ids))
