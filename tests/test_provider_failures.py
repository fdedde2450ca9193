"""Requests that are not answered with a stream: which error it is, and whether there is a second try."""

from __future__ import annotations

import datetime as dt
import gzip
import socket
import time
from email.utils import format_datetime
from typing import Any

import pytest

from chat import errors
from tests.completions import ask
from tests.fakes import FakeProvider, Repeat, Script, Send, Sleep, Step, error, raw, reset, stream, text

TOO_LONG = [
    {"code": "context_length_exceeded", "message": "x"},
    {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
    {"message": "the request exceeds the available context size, try increasing it"},
    {"message": "Requested tokens (5000) exceed context window of 2048"},
    {"message": "prompt is too long: 210000 tokens > 200000 maximum"},
    {"message": "maximum context length is 4096, you asked for 5000 (1000 in max_tokens)"},
]


@pytest.fixture(autouse=True)
def short_timeouts(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.providers.failures.RETRY_PAUSE", 0.02)
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 3
    settings.CHAT_STALL_TIMEOUT = 3
    settings.CHAT_ANSWER_TIMEOUT = 10


def error_page(status: int) -> Script:
    return error(status, body=b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"})


@pytest.fixture
def closed_port(settings: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_a_refused_connection_is_unreachable(closed_port: None) -> None:
    answer = ask()
    assert isinstance(answer.error, errors.ProviderUnreachable)
    assert answer.events == []


def test_an_unknown_host_is_unreachable(settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://no-such-host.invalid/v1"
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 6
    assert isinstance(ask().error, errors.ProviderUnreachable)


@pytest.mark.parametrize("cut", [reset(), raw(b"")], ids=["RST", "FIN"])
def test_a_connection_cut_before_the_first_byte_is_tried_once_more(fake_provider: FakeProvider, cut: Script) -> None:
    fake_provider.enqueue(cut, text("fine"))
    assert ask().text == "fine"
    assert len(fake_provider.history) == 2


@pytest.mark.parametrize("cut", [reset(), raw(b"")], ids=["RST", "FIN"])
def test_a_connection_cut_twice_is_unreachable(fake_provider: FakeProvider, cut: Script) -> None:
    fake_provider.enqueue(cut, cut, text("too late"))
    assert isinstance(ask().error, errors.ProviderUnreachable)
    assert len(fake_provider.history) == 2


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (error(401), errors.ProviderMisconfigured),
        (error(403), errors.ProviderMisconfigured),
        (error(404, code="model_not_found"), errors.ProviderMisconfigured),
        (error(400, message="Authentication Error, No api key passed in."), errors.ProviderMisconfigured),
        (error(400, message="The model `nope` does not exist"), errors.ProviderMisconfigured),
        (error(307, headers={"Location": "http://127.0.0.1:9/"}), errors.ProviderMisconfigured),
        (error(402), errors.ProviderQuotaExceeded),
        (error(429, code="insufficient_quota", headers={"Retry-After": "86400"}), errors.ProviderQuotaExceeded),
        (error(429, code="insufficient_quota", headers={"Retry-After": "1"}), errors.ProviderQuotaExceeded),
        (error(400), errors.ProviderRejected),
        (error(413), errors.ProviderRejected),
        (error(422, body=b'{"detail": [{"loc": ["body", "messages"], "msg": "no"}]}'), errors.ProviderRejected),
        (error(418), errors.ProviderRejected),
        (error(408), errors.ProviderTimeout),
    ],
)
def test_these_statuses_are_final(
    fake_provider: FakeProvider, script: Script, expected: type[errors.ProviderError]
) -> None:
    fake_provider.enqueue(script)
    answer = ask()
    assert type(answer.error) is expected
    assert "provider wording" not in str(answer.error)
    assert answer.events == []
    assert len(fake_provider.history) == 1


@pytest.mark.parametrize("body", TOO_LONG)
def test_a_prompt_longer_than_the_context_window_is_recognised(
    fake_provider: FakeProvider, body: dict[str, str]
) -> None:
    fake_provider.enqueue(error(400, **body))  # type: ignore[arg-type]
    assert type(ask().error) is errors.ContextTooLong
    assert len(fake_provider.history) == 1


@pytest.mark.parametrize("key", ["canary-é", "canary\n-key"])
def test_a_key_that_no_header_can_carry_is_a_configuration_error(
    fake_provider: FakeProvider, settings: Any, key: str
) -> None:
    settings.OPENAI_API_KEY = key
    assert type(ask().error) is errors.ProviderMisconfigured
    assert fake_provider.history == []


def test_a_redirect_is_not_followed(fake_provider: FakeProvider) -> None:
    with FakeProvider() as elsewhere:
        fake_provider.enqueue(error(307, headers={"Location": f"{elsewhere.url}/chat/completions"}))
        assert ask().error
        assert elsewhere.history == []


@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"Retry-After": "0"}, {"retry-after-ms": "300"}])
def test_a_short_retry_after_is_waited(fake_provider: FakeProvider, header: dict[str, str]) -> None:
    fake_provider.enqueue(error(429, headers=header), text("fine"))
    began = time.monotonic()
    assert ask().text == "fine"
    first, second = fake_provider.history
    wait = float(header.get("Retry-After", 1))
    assert second["at"] - first["at"] >= wait
    assert time.monotonic() - began >= wait


def test_a_second_retry_after_is_not_waited(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(*[error(429, headers={"Retry-After": "1"})] * 2)
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after == 1
    assert len(fake_provider.history) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", range(7, 8)), ("2.5", range(3, 4)), ("9999999", range(86400, 86401)), ("date", range(28, 32))],
)
def test_a_long_retry_after_is_reported_at_once(
    fake_provider: FakeProvider, status: int, header: str, seconds: range
) -> None:
    if header == "date":
        header = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30), usegmt=True)
    fake_provider.enqueue(error(status, headers={"Retry-After": header}))
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after in seconds
    assert len(fake_provider.history) == 1


@pytest.mark.parametrize("header", [None, "soon", "-3", "nan", "inf", "Wed, 99 Foo 2026 00:00:00 GMT", "\u0663"])
def test_a_429_without_a_valid_retry_after_fails_at_once(fake_provider: FakeProvider, header: str | None) -> None:
    given = {} if header is None else {"Retry-After": header.encode().decode("latin-1")}
    fake_provider.enqueue(error(429, headers=given))
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after is None
    assert len(fake_provider.history) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_server_error_is_tried_once_more(fake_provider: FakeProvider, status: int) -> None:
    fake_provider.enqueue(error_page(status), text("fine"))
    assert ask().text == "fine"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_second_server_error_is_final(fake_provider: FakeProvider, status: int) -> None:
    fake_provider.enqueue(error_page(status), error_page(status), text("too late"))
    assert type(ask().error) is errors.ProviderBusy
    assert len(fake_provider.history) == 2


@pytest.mark.parametrize(
    "script",
    [
        stream(b"<h1>hello</h1>", headers={"Content-Type": "text/html"}),
        stream(b'{"choices": []}', headers={"Content-Type": "application/json"}),
        stream(b"", headers={}),
        Script([], headers={"Content-Type": "application/json"}, length=0),
        raw(b"garbage\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),
        stream("hi", headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}),
        stream("hi", headers={"Content-Type": "text/event-stream", "Content-Encoding": "br"}),
    ],
)
def test_a_response_that_is_not_an_event_stream_is_an_interruption(fake_provider: FakeProvider, script: Script) -> None:
    fake_provider.always(script)
    answer = ask()
    assert type(answer.error) is errors.ProviderInterrupted
    assert answer.events == []


@pytest.mark.parametrize(
    "steps",
    [(Repeat(b"x" * 65_536),), (Send(b"{"), Sleep(60))],
    ids=["endless", "never ending"],
)
def test_an_endless_error_body_is_cut(fake_provider: FakeProvider, settings: Any, steps: tuple[Step, ...]) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 1
    fake_provider.enqueue(Script(steps, status=401, headers={"Content-Type": "application/json"}))
    assert ask().error
    assert fake_provider.history[0]["left"].wait(5)
    assert fake_provider.history[0]["sent"] < 16_000_000


def test_a_compressed_error_body_is_not_decompressed(fake_provider: FakeProvider) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    fake_provider.enqueue(Script([Send(bomb)], status=401, headers=headers, length=len(bomb)))
    assert type(ask().error) is errors.ProviderMisconfigured
