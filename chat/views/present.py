"""Rows made ready for templates: fragments get data, never queries or decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from django.utils import timezone
from django.utils.translation import gettext as _

from chat import errors, markdown
from chat.generation import Broken, Interrupted, NotSaved
from chat.models import ChatModel, Conversation, Message, Status

SENTENCES = {
    Status.TRUNCATED: _("The answer reached the length limit."),
    Status.FILTERED: _("The model's content filter held this answer back."),
    Status.REFUSED: _("The model declined to answer."),
    Status.STOPPED: _("You stopped this answer."),
}
CONTINUABLE = (Status.TRUNCATED, Status.INTERRUPTED, Status.STOPPED)
RETRYABLE = (Status.FAILED, Status.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class Article:
    """One message as `_article.html` shows it. `shown` counts the characters in `done` and `tail`."""

    id: str
    dom_id: str
    role: str
    status: str
    running: bool
    html: str
    done: str
    tail: str
    shown: int
    reasoning: str
    model: str
    tokens: int | None
    seconds: float | None
    notice: str
    error_code: str
    retry_after: int
    can_retry: bool
    can_continue: bool
    can_regenerate: bool
    can_edit: bool
    has_text: bool
    turns_left_out: int
    output_cap: int | None
    version: int
    versions: int
    previous_version: str
    next_version: str
    created_at: dt.datetime


def _error_sentences() -> dict[str, str]:
    classes: list[type[errors.ChatError]] = [errors.ChatError]
    sentences: dict[str, str] = {}
    while classes:
        kind = classes.pop()
        sentences[kind.code] = str(kind.sentence)
        classes.extend(kind.__subclasses__())
    return sentences


def notice_of(message: Message) -> str:
    """The sentence under a message that did not simply end well."""
    if message.status in (Status.FAILED, Status.INTERRUPTED):
        return _error_sentences().get(message.error_code, str(Broken.sentence))
    return str(SENTENCES.get(Status(message.status), ""))


def article(message: Message, labels: dict[str, str] | None = None) -> Article:
    running = message.is_running
    assistant = message.role == Message.Role.ASSISTANT
    done, tail = markdown.LiveMarkdown.snapshot(message.content) if running else ("", "")
    siblings = [str(pk) for pk in getattr(message, "siblings", [message.pk])]
    version = siblings.index(str(message.pk))
    seconds = None
    if message.finished_at and assistant:
        seconds = round((message.finished_at - message.created_at).total_seconds(), 1)
    retry_after = 0
    if message.retry_at:
        retry_after = max(ceil((message.retry_at - timezone.now()).total_seconds()), 0)
    ended = assistant and not running
    return Article(
        id=str(message.pk),
        dom_id=f"m-{message.pk}",
        role=message.role,
        status=message.status,
        running=running,
        html="" if running else markdown.render(message.content),
        done=done,
        tail=tail,
        shown=len(message.content),
        reasoning=markdown.render(message.reasoning) if message.reasoning else "",
        model=(labels or {}).get(message.model, message.model),
        tokens=message.completion_tokens,
        seconds=seconds,
        notice=notice_of(message) if ended else "",
        error_code=message.error_code,
        retry_after=retry_after,
        can_retry=ended and message.status in RETRYABLE,
        can_continue=ended and message.status in CONTINUABLE and bool(message.content),
        can_regenerate=ended and message.status not in RETRYABLE,
        can_edit=not assistant,
        has_text=bool(message.content),
        turns_left_out=message.turns_left_out,
        output_cap=message.output_cap,
        version=version + 1,
        versions=len(siblings),
        previous_version=siblings[version - 1] if version else "",
        next_version=siblings[version + 1] if version + 1 < len(siblings) else "",
        created_at=message.created_at,
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Conversations of one span of days."""

    label: str
    conversations: Sequence[Conversation]


def _span(moment: dt.datetime, today: dt.date) -> str:
    days = (today - timezone.localdate(moment)).days
    if days <= 0:
        return _("Today")
    if days == 1:
        return _("Yesterday")
    if days < 7:
        return _("Last 7 days")
    if days < 30:
        return _("Last 30 days")
    return timezone.localtime(moment).strftime("%Y-%m")


def grouped(conversations: Iterable[Conversation]) -> list[Group]:
    today = timezone.localdate()
    return [
        Group(label=label, conversations=list(items))
        for label, items in groupby(conversations, key=lambda item: _span(item.updated_at, today))
    ]


def labels_of(models: Iterable[ChatModel]) -> dict[str, str]:
    return {model.name: str(model) for model in models}


__all__ = ["Article", "Group", "Interrupted", "NotSaved", "article", "grouped", "labels_of", "notice_of"]
