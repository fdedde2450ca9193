"""Erase an account and everything stored about its user.

The order is: `lock_account`, wait until `count_running_answers` is 0, `delete_conversations`, `delete_sessions`,
`erase_account`. The usage ledger keeps its amounts, without the user.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from chat.accounts import retention
from chat.models import Conversation, ConversationReading, DailyUsage, Message, UsageRecord, User


@dataclass(frozen=True, kw_only=True)
class AccountSummary:
    """What is stored about a user. Ledger rows are kept without the user."""

    conversations: int
    messages: int
    api_keys: int
    limit_overrides: int
    ledger_rows: int
    wrote_admin_log: bool


def summarize(user: User) -> AccountSummary:
    """Count what is stored about a user."""
    return AccountSummary(
        conversations=Conversation.objects.filter(user=user).count(),
        messages=Message.objects.filter(conversation__user=user).count(),
        api_keys=user.api_keys.count(),
        limit_overrides=user.limit_overrides.count(),
        ledger_rows=UsageRecord.objects.filter(user=user).count(),
        wrote_admin_log=LogEntry.objects.filter(user=user).exists(),
    )


def lock_account(user: User) -> None:
    """Deactivate the user, end their sessions, revoke their API keys and ask their running answers to stop."""
    now = timezone.now()
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.end_sessions()
        user.api_keys.filter(revoked_at=None).update(revoked_at=now)
        Conversation.objects.filter(user=user, deleted_at=None).update(deleted_at=now)
        Message.objects.running().filter(conversation__user=user).update(stop_requested=True)


def count_running_answers(user: User) -> int:
    """How many answers of the user have not ended yet."""
    return Message.objects.running().filter(conversation__user=user).count()


def erase_account(user: User) -> bool:
    """Delete the account with its API keys and limit overrides. Its conversations must have been deleted before.

    Returns False if an empty account without a name is kept: entries of the admin log refer to the user who
    made them, and would be deleted with the account.
    """
    with transaction.atomic():
        user_type = ContentType.objects.get_for_model(User)
        placeholder = _placeholder_name(user)
        LogEntry.objects.filter(content_type=user_type, object_id=str(user.pk)).update(object_repr=placeholder)
        ConversationReading.objects.filter(reader=user).update(reader_name=placeholder)
        if not LogEntry.objects.filter(user=user).exists():
            user.delete()
            return True
        _empty_account(user)
        return False


def delete_sessions(user: User) -> int:
    """Delete the rows of the user's sessions and return their number.

    Reads all sessions of the site, because the user of a session is only in its encoded data.
    """
    session_keys = [
        session.pk
        for session in Session.objects.iterator(chunk_size=1000)
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    return Session.objects.filter(pk__in=session_keys).delete()[0]


def _placeholder_name(user: User) -> str:
    return f"erased-{user.pk}"


def _empty_account(user: User) -> None:
    """Remove everything personal from an account that is kept, and its user from the usage ledger."""
    user.api_keys.all().delete()
    user.limit_overrides.all().delete()
    user.groups.clear()
    user.user_permissions.clear()
    UsageRecord.objects.anonymize(user.pk)
    DailyUsage.objects.filter(user=user).update(user=None)
    ConversationReading.objects.filter(owner=user).update(owner=None)
    ConversationReading.objects.filter(reader=user).update(reader=None)
    empty = User(username=_placeholder_name(user), is_active=False, date_joined=user.date_joined)
    empty.set_unusable_password()
    empty.pk, empty.session_epoch = user.pk, user.session_epoch + 1
    empty.save(force_update=True)


def delete_conversations(user: User) -> int:
    """Delete the user's conversations and return their number. Those with a running answer are kept."""
    ids = Conversation.objects.filter(user=user).values_list("pk", flat=True)
    return sum(retention.remove_conversation(conversation_id) for conversation_id in list(ids))
