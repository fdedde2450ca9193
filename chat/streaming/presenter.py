"""Rows made ready for templates: fragments get data, never queries or decisions."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Literal, NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat import errors, markdown, providers
from chat.answers.prompt import TURN_OVERHEAD
from chat.answers.store import TYPICAL_OUTPUT
from chat.limits.status import LimitStatus
from chat.models import ChatModel, Conversation, Message, Status, User
from chat.text import estimate_tokens

SENTENCES = {
    Status.TRUNCATED: _("The answer reached the length limit."),
    Status.FILTERED: _("The model's content filter held this answer back."),
    Status.REFUSED: _("The model declined to answer."),
    Status.STOPPED: _("You stopped this answer."),
}
CONTINUABLE = (Status.TRUNCATED, Status.INTERRUPTED, Status.STOPPED)
RETRYABLE = (Status.FAILED, Status.INTERRUPTED)
HOPELESS = (errors.ProviderRejected.code, errors.ContextTooLong.code)
"""The same question would be refused again; what an administrator can mend may be asked again."""
PROVIDERS_FAULTS = frozenset(kind.code for kind in errors.ProviderError.__subclasses__()) | {errors.ProviderError.code}


@dataclass(frozen=True, kw_only=True)
class Article:
    """One message as `_article.html` shows it.

    `shown` counts the characters in `done` and `tail`, `source` is the text as it was written,
    `fault` says whose fault a failure was.
    """

    id: str
    dom_id: str
    role: str
    status: str
    running: bool
    html: str
    source: str
    done: str
    tail: str
    shown: int
    reasoning: str
    model: str
    tokens: int | None
    seconds: float | None
    notice: str
    error_code: str
    fault: Literal["", "site", "provider"]
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
        return _error_sentences().get(message.error_code, str(errors.InternalError.sentence))
    return str(SENTENCES.get(Status(message.status), ""))


def _fault(message: Message) -> Literal["", "site", "provider"]:
    if message.status not in RETRYABLE:
        return ""
    return "provider" if message.error_code in PROVIDERS_FAULTS else "site"


def retry_after(message: Message) -> int:
    """Seconds until asking again makes sense."""
    return max(ceil((message.retry_at - timezone.now()).total_seconds()), 0) if message.retry_at else 0


def article(message: Message, labels: dict[str, str] | None = None) -> Article:
    running = message.is_running
    assistant = message.role == Message.Role.ASSISTANT
    done, tail = markdown.LiveMarkdown.snapshot(message.content) if running else ("", "")
    siblings = [str(pk) for pk in getattr(message, "siblings", [message.pk])]
    version = siblings.index(str(message.pk))
    seconds = None
    if message.finished_at and assistant:
        seconds = round((message.finished_at - message.created_at).total_seconds(), 1)
    ended = assistant and not running
    can_retry = ended and message.status in RETRYABLE and message.error_code not in HOPELESS
    return Article(
        id=str(message.pk),
        dom_id=f"m-{message.pk}",
        role=message.role,
        status=message.status,
        running=running,
        html="" if running else markdown.render(message.content),
        source=message.content if not running else "",
        done=done,
        tail=tail,
        shown=len(message.content),
        reasoning=message.reasoning,
        model=(labels or {}).get(message.model, message.model),
        tokens=message.completion_tokens,
        seconds=seconds,
        notice=notice_of(message) if ended else "",
        error_code=message.error_code,
        fault=_fault(message) if ended else "",
        retry_after=retry_after(message),
        can_retry=can_retry,
        can_continue=ended and message.status in CONTINUABLE and bool(message.content),
        can_regenerate=ended and not can_retry and message.error_code != errors.ContextTooLong.code,
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
class Starter:
    """A first message that an empty conversation suggests."""

    title: str
    text: str


def starters(*, demo: bool) -> Sequence[Starter]:
    if demo:
        return (
            Starter(title=gettext("See what it can show"), text="/markdown"),
            Starter(title=gettext("Watch it think"), text="/think"),
            Starter(title=gettext("Let it write code"), text="/code"),
            Starter(title=gettext("Break something"), text="/fail 429"),
        )
    return (
        Starter(title=gettext("Understand"), text=gettext("Explain in plain words, with an example: ")),
        Starter(title=gettext("Write"), text=gettext("Draft a short, friendly mail that says: ")),
        Starter(title=gettext("Improve"), text=gettext("Find mistakes in this and say how to mend them: ")),
        Starter(title=gettext("Plan"), text=gettext("Break this down into steps I can start on today: ")),
    )


class Entry(NamedTuple):
    """A conversation as the list of them shows it."""

    pk: uuid.UUID
    title: str
    unread: bool
    updated_at: dt.datetime

    @property
    def address(self) -> str:
        return f"/c/{self.pk}/"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Conversations of one span of days."""

    label: str
    conversations: Sequence[Entry]


def _spans() -> list[tuple[dt.datetime, str]]:
    """From when on each of the newest spans lasts."""
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


@dataclass(frozen=True, kw_only=True)
class Place:
    """The last conversation that a list has shown."""

    updated_at: dt.datetime
    id: uuid.UUID


def grouped(entries: Iterable[Entry], *, after: Place | None = None) -> list[Group]:
    """By span of days; what goes on with the span of the last one shown has no label."""
    spans = _spans()
    said = _span(after.updated_at, spans) if after else ""
    return [
        Group(label="" if label == said else label, conversations=list(items))
        for label, items in groupby(entries, key=lambda entry: _span(entry.updated_at, spans))
    ]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a message takes before its first word, in tokens; `left` is None without a limit on tokens."""

    history: int
    output: int
    left: int | None


def estimate(
    user: User, conversation: Conversation | None, head: Message | None, allowances: Iterable[LimitStatus]
) -> Estimate:
    """The last answer's own count says what its history takes: as exact as its provider."""
    system = (conversation.system_prompt if conversation else "") or user.system_prompt
    history = estimate_tokens(system) + TURN_OVERHEAD if system else 0
    if head is not None and head.prompt_tokens:
        history = head.prompt_tokens + (head.completion_tokens or 0) + TURN_OVERHEAD
    left = [item.remaining for item in allowances if item.unit == "token"]
    return Estimate(
        history=history,
        output=min(TYPICAL_OUTPUT, settings.CHAT_MAX_OUTPUT_TOKENS),
        left=min(left, default=None),
    )


def labels_of(models: Iterable[ChatModel]) -> dict[str, str]:
    """Labels by model name; what the demo model answers in place of is called so."""
    labels = {model.name: str(model) for model in models}
    return labels | {settings.CHAT_MODEL: gettext("Demo model")} if providers.is_demo() else labels
