"""Every error that this site shows, by what went wrong.

ChatError
├── InvalidInput 422
│   ├── BadRequest 400
│   └── TooLarge 413
├── NotAuthenticated 401
├── Forbidden 403
├── NotFound 404
├── Conflict 409
│   ├── AnswerRunning
│   └── KeyReused
├── LimitExceeded 429        ours, before the model is called
├── LimiterUnavailable 503
├── ShuttingDown 503
├── DatabaseUnavailable 503
├── Interrupted              the process that ran the answer stopped or died
├── InternalError            an error of this site while an answer ran
├── NotSaved                 the database accepted the question, but not the answer
└── ProviderError            the provider's
    ├── ProviderUnreachable    connection refused, DNS, closed before a byte
    ├── ProviderTimeout        no first token in time, or silence
    ├── ProviderBusy           its 429, 5xx
    ├── ProviderQuotaExceeded  its account has no credit left
    ├── ProviderMisconfigured  wrong key, unknown model
    ├── ContextTooLong         the prompt exceeds the context window
    ├── ProviderRejected       any other 4xx
    ├── ProviderInterrupted    not the wire format, closed mid-answer, error event
    └── EmptyAnswer            ended normally, without text

`message` is always a sentence of ours that is safe to show. Nothing of the
provider's wording may enter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ChatError(Exception):
    """`status` is the HTTP status, `code` goes into rows and JSON, `retry_after` is in seconds."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    default_message: ClassVar[str | Promise] = _("Something went wrong.")

    def __init__(self, message: str | Promise | None = None, *, retry_after: int | None = None) -> None:
        self.message = str(message if message is not None else self.default_message)
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidInput(ChatError):
    status = 422
    code = "invalid"
    default_message = _("That could not be read.")


class BadRequest(InvalidInput):
    status = 400
    code = "bad-request"
    default_message = _("Bad request.")


class TooLarge(InvalidInput):
    status = 413
    code = "too-large"
    default_message = _("The request is too large.")


class NotAuthenticated(ChatError):
    status = 401
    code = "not-logged-in"
    default_message = _("Log in, or send a valid API key.")


class Forbidden(ChatError):
    status = 403
    code = "forbidden"
    default_message = _("That is not allowed.")


class NotFound(ChatError):
    status = 404
    code = "not-found"
    default_message = _("Not found.")


class Conflict(ChatError):
    status = 409
    code = "conflict"
    default_message = _("That is not possible right now.")


class AnswerRunning(Conflict):
    code = "answer-running"
    default_message = _("Wait for the answer or stop it.")


class KeyReused(Conflict):
    code = "key-reused"
    default_message = _("This message was already sent with another text. Reload the page.")


class ViolatedRule(Protocol):
    """A limit that refused. `wait` is in seconds, None where waiting does not help."""

    @property
    def name(self) -> str: ...

    @property
    def wait(self) -> int | None: ...


class LimitExceeded(ChatError):
    """Refused by our limiter; nothing was used up.

    `violations` are the limits that refused, each with its own wait. `retry_after` is None where waiting does not
    help: the request is larger than the limit, or the limit is zero.
    """

    status = 429
    code = "limit-exceeded"
    default_message = _("You have reached a limit.")

    def __init__(
        self,
        message: str | Promise | None = None,
        *,
        retry_after: int | None = None,
        violations: Sequence[ViolatedRule] = (),
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.violations = tuple(violations)


class LimiterUnavailable(ChatError):
    status = 503
    code = "temporary-reduced-capacity"
    default_message = _("Limits cannot be checked right now. Try again in a moment.")


class ShuttingDown(ChatError):
    status = 503
    code = "restarting"
    default_message = _("The site is restarting. Try again in a moment.")


class DatabaseUnavailable(ChatError):
    status = 503
    code = "storage-down"
    default_message = _("Your message could not be saved. Try again in a moment.")


class Interrupted(ChatError):
    code = "restarted"
    default_message = _("The site was restarted. The answer so far is saved.")


class InternalError(ChatError):
    code = "internal"
    default_message = _("Something went wrong on this site. Your message is saved.")


class NotSaved(ChatError):
    code = "not-saved"
    default_message = _("The answer was shown but could not be saved.")


class ProviderError(ChatError):
    status = 502
    code = "upstream-error"
    default_message = _("The model service had a problem. Your message is saved.")
    notify_admin: ClassVar[bool] = False


class ProviderUnreachable(ProviderError):
    code = "upstream-unreachable"
    default_message = _("The model service cannot be reached. Your message is saved.")


class ProviderTimeout(ProviderError):
    status = 504
    code = "upstream-timeout"
    default_message = _("The model service did not answer in time. Your message is saved.")


class ProviderBusy(ProviderError):
    status = 503
    code = "upstream-busy"
    default_message = _("The model service is busy. Try again in a moment.")


class ProviderQuotaExceeded(ProviderError):
    status = 503
    code = "upstream-quota"
    default_message = _("The model service has no capacity left for this site. The administrator has been told.")
    notify_admin = True


class ProviderMisconfigured(ProviderError):
    code = "upstream-misconfigured"
    default_message = _("The service is not set up correctly. The administrator has been told.")
    notify_admin = True


class ContextTooLong(ProviderError):
    code = "context-too-long"
    default_message = _("This conversation is too long for the model. Start a new one.")


class ProviderRejected(ProviderError):
    code = "upstream-rejected"
    default_message = _("The model service did not accept this message.")


class ProviderInterrupted(ProviderError):
    code = "upstream-broken"
    default_message = _("The connection to the model service was interrupted.")


class EmptyAnswer(ProviderError):
    code = "upstream-empty"
    default_message = _("The model returned an empty answer.")


def error_classes() -> dict[str, type[ChatError]]:
    """Every error of this site by its code. A subclass that shares the code of its parent is left out."""
    found: dict[str, type[ChatError]] = {}
    waiting: list[type[ChatError]] = [ChatError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting += kind.__subclasses__()
    return found
