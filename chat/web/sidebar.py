"""The list of conversations, newest first, by spans of days."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import Conversation, ConversationQuerySet, User, conversation_url

PAGE_SIZE = 60


class ListEntry(NamedTuple):
    """A conversation as the list shows it."""

    pk: uuid.UUID
    title: str
    unread: bool
    updated_at: dt.datetime

    @property
    def address(self) -> str:
        return conversation_url(self.pk)


class ListPosition(NamedTuple):
    """The last conversation that a list has shown."""

    updated_at: dt.datetime
    id: uuid.UUID


@dataclass(frozen=True, kw_only=True)
class Group:
    """Conversations of one span of days; no label where it continues the span before it."""

    label: str
    conversations: Sequence[ListEntry]


def _listed(conversations: ConversationQuerySet) -> QuerySet[Conversation, tuple[Any, ...]]:
    """One more than a page shows tells whether there is another page."""
    return conversations.listed()[: PAGE_SIZE + 1].values_list(*ListEntry._fields)


_FIND_NEWEST = PreparedQuery(lambda: _listed(Conversation.objects.for_user(Parameter("user", models.IntegerField()))))


def sidebar_context(user: User, shown: Conversation | None, after: ListPosition | None = None) -> dict[str, Any]:
    """The newest conversations, or those after a position of the list; `shown` is the one that the page shows."""
    if after is None:
        rows = _FIND_NEWEST(user=user.pk)
    else:
        rows = list(_listed(Conversation.objects.for_user(user).after(after.updated_at, after.id)))
    entries = [ListEntry(*row) for row in rows[:PAGE_SIZE]]
    return {
        "conversation": shown,
        "groups": group_by_span(entries, after=after),
        "last": entries[-1] if len(rows) > len(entries) else None,
    }


def group_by_span(entries: Iterable[ListEntry], *, after: ListPosition | None = None) -> list[Group]:
    spans = _spans()
    before = _span(after.updated_at, spans) if after else ""
    return [
        Group(label="" if label == before else label, conversations=list(items))
        for label, items in groupby(entries, key=lambda entry: _span(entry.updated_at, spans))
    ]


def _spans() -> list[tuple[dt.datetime, str]]:
    """The start of each recent span, newest first, with its label."""
    today = timezone.localdate()
    days = (
        (0, gettext("Today")),
        (1, gettext("Yesterday")),
        (6, gettext("Last 7 days")),
        (29, gettext("Last 30 days")),
    )
    return [
        (timezone.make_aware(dt.datetime.combine(today - dt.timedelta(back), dt.time())), label) for back, label in days
    ]


def _span(moment: dt.datetime, spans: Iterable[tuple[dt.datetime, str]]) -> str:
    for since, label in spans:
        if moment >= since:
            return label
    return date_format(timezone.localtime(moment), "YEAR_MONTH_FORMAT")
