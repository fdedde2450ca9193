"""Every error this site shows.

ChatError
├── InvalidInput 422
│   ├── BadRequest 400
│   └── TooLarge 413
├── NotLoggedIn 401
├── Forbidden 403
├── NotFound 404
├── Conflict 409
│   ├── AnswerRunning
│   └── KeyReused
├── LimitExceeded 429        ours, before the model is called
├── LimiterDown 503
├── ShuttingDown 503
├── StorageDown 503
├── Interrupted              this process let go of a running answer, or died
├── Broken                   a fault of ours while an answer ran
├── NotSaved                 the database took the question, but not the answer
└── UpstreamError            the provider's
    ├── UpstreamUnreachable  refused, DNS, cut before a byte
    ├── UpstreamTimeout      no first token, or silence
    ├── UpstreamBusy         its 429, 5xx
    ├── UpstreamQuota        its account has no credit left
    ├── UpstreamMisconfigured wrong key, unknown model
    ├── UpstreamTooLong      context length
    ├── UpstreamRejected     any other 4xx
    ├── UpstreamBroken       not the wire format, cut mid-answer, error event
    └── UpstreamEmpty        ended in order, without a word

`message` is always a sentence of ours that is safe to show. Nothing of the
provider's wording may enter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ChatError(Exception):
    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    sentence: ClassVar[str | Promise] = _("Something went wrong.")

    def __init__(self, message: str | Promise | None = None, *, retry_after: int | None = None) -> None:
        self.message = str(message if message is not None else self.sentence)
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidInput(ChatError):
    status = 422
    code = "invalid"
    sentence = _("That could not be read.")


class BadRequest(InvalidInput):
    status = 400
    code = "bad-request"
    sentence = _("Bad request.")


class TooLarge(InvalidInput):
    status = 413
    code = "too-large"
    sentence = _("The request is too large.")


class NotAuthenticated(ChatError):
    status = 401
    code = "not-logged-in"
    sentence = _("Log in, or send a valid API key.")


class Forbidden(ChatError):
    status = 403
    code = "forbidden"
    sentence = _("That is not allowed.")


class NotFound(ChatError):
    status = 404
    code = "not-found"
    sentence = _("Not found.")


class Conflict(ChatError):
    status = 409
    code = "conflict"
    sentence = _("That is not possible right now.")


class AnswerRunning(Conflict):
    code = "answer-running"
    sentence = _("Wait for the answer or stop it.")


class KeyReused(Conflict):
    code = "key-reused"
    sentence = _("This message was already sent with another text. Reload the page.")


class Violated(Protocol):
    """A rule that refused; `wait` in seconds, None if waiting does not help."""

    @property
    def name(self) -> str: ...

    @property
    def wait(self) -> int | None: ...


class LimitExceeded(ChatError):
    """Refused by our limiter; nothing was consumed.

    `violations` are the rules that refused, each with its own wait. `retry_after`
    is None when waiting does not help (the request is larger than the limit, or
    the limit is zero).
    """

    status = 429
    code = "limit-exceeded"
    sentence = _("You have reached a limit.")

    def __init__(
        self,
        message: str | Promise | None = None,
        *,
        retry_after: int | None = None,
        violations: Sequence[Violated] = (),
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.violations = tuple(violations)


class LimiterUnavailable(ChatError):
    status = 503
    code = "temporary-reduced-capacity"
    sentence = _("Limits cannot be checked right now. Try again in a moment.")


class ShuttingDown(ChatError):
    status = 503
    code = "restarting"
    sentence = _("The site is restarting. Try again in a moment.")


class DatabaseUnavailable(ChatError):
    status = 503
    code = "storage-down"
    sentence = _("Your message could not be saved. Try again in a moment.")


class Interrupted(ChatError):
    code = "restarted"
    sentence = _("The site was restarted. The answer so far is saved.")


class InternalError(ChatError):
    code = "internal"
    sentence = _("Something went wrong on this site. Your message is saved.")


class NotSaved(ChatError):
    code = "not-saved"
    sentence = _("The answer was shown but could not be saved.")


class ProviderError(ChatError):
    status = 502
    code = "upstream-error"
    sentence = _("The model service had a problem. Your message is saved.")
    tell_admin: ClassVar[bool] = False


class ProviderUnreachable(ProviderError):
    code = "upstream-unreachable"
    sentence = _("The model service cannot be reached. Your message is saved.")


class ProviderTimeout(ProviderError):
    status = 504
    code = "upstream-timeout"
    sentence = _("The model service did not answer in time. Your message is saved.")


class ProviderBusy(ProviderError):
    status = 503
    code = "upstream-busy"
    sentence = _("The model service is busy. Try again in a moment.")


class ProviderQuotaExceeded(ProviderError):
    status = 503
    code = "upstream-quota"
    sentence = _("The model service has no capacity left for this site. The administrator has been told.")
    tell_admin = True


class ProviderMisconfigured(ProviderError):
    code = "upstream-misconfigured"
    sentence = _("The service is not set up correctly. The administrator has been told.")
    tell_admin = True


class ContextTooLong(ProviderError):
    code = "context-too-long"
    sentence = _("This conversation is too long for the model. Start a new one.")


class ProviderRejected(ProviderError):
    code = "upstream-rejected"
    sentence = _("The model service did not accept this message.")


class ProviderInterrupted(ProviderError):
    code = "upstream-broken"
    sentence = _("The connection to the model service broke off.")


class EmptyAnswer(ProviderError):
    code = "upstream-empty"
    sentence = _("The model returned an empty answer.")


def error_classes() -> dict[str, type[ChatError]]:
    """All error classes by their code: `ChatError` and everything below it, parents before children."""
    found: dict[str, type[ChatError]] = {}
    pending: list[type[ChatError]] = [ChatError]
    for error_class in pending:
        found.setdefault(error_class.code, error_class)
        pending.extend(error_class.__subclasses__())
    return found
