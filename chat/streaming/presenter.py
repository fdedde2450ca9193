"""A message ready for its template: fragments get data, never queries or decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat import errors, markdown, providers
from chat.models import ChatModel, Message, Status
from chat.streaming.reader import retry_after

STATUS_NOTES = {
    Status.TRUNCATED: _("The answer reached the length limit."),
    Status.FILTERED: _("The model's content filter held this answer back."),
    Status.REFUSED: _("The model declined to answer."),
    Status.STOPPED: _("You stopped this answer."),
}
CONTINUABLE = (Status.TRUNCATED, Status.INTERRUPTED, Status.STOPPED)
RETRYABLE = (Status.FAILED, Status.INTERRUPTED)
NOT_RETRYABLE = (errors.ProviderRejected.code, errors.ContextTooLong.code)
"""The same question would be refused again. What an administrator can fix may be asked again."""


@dataclass(frozen=True, kw_only=True)
class Article:
    """One message as `_article.html` shows it.

    `shown` is the number of characters in `done` and `tail`, `source` the text as it was written, `fault` whose error
    it was, `seconds` how long the answer took, `retry_after` seconds until Retry makes sense.
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


def article(message: Message, labels: Mapping[str, str] | None = None) -> Article:
    """`labels` are the models' names for people, by name."""
    running = message.is_running
    is_answer = message.role == Message.Role.ASSISTANT
    ended = is_answer and not running
    content = message.content
    done, tail = markdown.LiveMarkdown.snapshot(content) if running and content else ("", "")
    siblings = [str(pk) for pk in getattr(message, "siblings", [message.pk])]
    version = siblings.index(str(message.pk))
    seconds = None
    if message.finished_at and is_answer:
        seconds = round((message.finished_at - message.created_at).total_seconds(), 1)
    can_retry = ended and message.status in RETRYABLE and message.error_code not in NOT_RETRYABLE
    return Article(
        id=str(message.pk),
        dom_id=f"m-{message.pk}",
        role=message.role,
        status=message.status,
        running=running,
        html="" if running else markdown.render(content),
        source="" if running else content,
        done=done,
        tail=tail,
        shown=len(content),
        reasoning=message.reasoning,
        model=(labels or {}).get(message.model, message.model),
        tokens=message.completion_tokens,
        seconds=seconds,
        notice=note_of(message) if ended else "",
        error_code=message.error_code,
        fault=_fault(message) if ended else "",
        retry_after=retry_after(message) if ended else 0,
        can_retry=can_retry,
        can_continue=ended and message.status in CONTINUABLE and bool(content),
        can_regenerate=ended and not can_retry and message.error_code != errors.ContextTooLong.code,
        can_edit=not is_answer,
        has_text=bool(content),
        turns_left_out=message.turns_left_out,
        output_cap=message.output_cap,
        version=version + 1,
        versions=len(siblings),
        previous_version=siblings[version - 1] if version else "",
        next_version=siblings[version + 1] if version + 1 < len(siblings) else "",
        created_at=message.created_at,
    )


def note_of(message: Message) -> str:
    """The sentence under an answer that is not complete."""
    if message.status in (Status.FAILED, Status.INTERRUPTED):
        error = errors.error_classes().get(message.error_code, errors.InternalError)
        return str(error.default_message)
    return str(STATUS_NOTES.get(Status(message.status), ""))


def _fault(message: Message) -> Literal["", "site", "provider"]:
    if message.status not in RETRYABLE:
        return ""
    error = errors.error_classes().get(message.error_code, errors.InternalError)
    return "provider" if issubclass(error, errors.ProviderError) else "site"


def model_labels(models: Iterable[ChatModel]) -> dict[str, str]:
    """Labels by model name. While the demo model answers, it is called so."""
    labels = {model.name: str(model) for model in models}
    return labels | {settings.CHAT_MODEL: gettext("Demo model")} if providers.is_demo() else labels
