"""Providers that refuse, cannot be reached or send no stream: which error, how many requests, what is told to whom."""

from __future__ import annotations

import datetime as dt
import gzip
import logging
import socket
import time
from email.utils import format_datetime
from typing import Any

import pytest

from chat import errors
from chat.providers import list_models, recent_errors
from chat.providers import request as requests
from tests.asking import ask, run
from tests.fakes import (
    FakeUpstream,
    Repeat,
    Reset,
    Script,
    Send,
    Sleep,
    Step,
    error,
    hang,
    hang_after_headers,
    raw,
    reset,
    stream,
    text,
)

TOO_LONG = [
    {"code": "context_length_exceeded", "message": "x"},
    {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
    {"message": "the request exceeds the available context size, try increasing it"},
    {"message": "Requested tokens (5000) exceed context window of 2048"},
    {"message": "prompt is too long: 210000 tokens > 200000 maximum"},
    {"message": "maximum context length is 4096, you asked for 5000 (1000 in max_tokens)"},
]


@pytest.fixture(autouse=True)
def fresh(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.providers.failures.RETRY_PAUSE", 0.02)
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 3
    settings.CHAT_STALL_TIMEOUT = 3
    settings.CHAT_ANSWER_TIMEOUT = 10
    for state in (recent_errors._seen, recent_errors._last, recent_errors._logged, requests._turned_down):
        state.clear()


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


def test_a_server_that_never_answers_ends_at_the_first_token_clock(fake_upstream: FakeUpstream, settings: Any) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 0.2
    fake_upstream.always(hang())
    answer = ask()
    assert isinstance(answer.error, errors.ProviderTimeout)
    assert len(fake_upstream.history) == 1
    assert fake_upstream.history[0]["left"].wait(5)


@pytest.mark.parametrize(
    "script",
    [
        hang_after_headers(),
        stream(Repeat(b": ping\n\n", 0.01)),
        stream(Repeat(b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n', 0.01)),
        stream(Repeat(b": flood\n\n" * 100)),
    ],
    ids=["silence", "comments", "empty deltas", "a flood of comments"],
)
def test_headers_without_a_word_end_at_the_first_token_clock(
    fake_upstream: FakeUpstream, settings: Any, script: Script
) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 0.2
    fake_upstream.always(script)
    answer = ask()
    assert isinstance(answer.error, errors.ProviderTimeout)
    assert answer.opened
    assert answer.text == ""
    assert fake_upstream.history[0]["left"].wait(5)


@pytest.mark.parametrize("cut", [reset(), raw(b"")], ids=["RST", "FIN"])
def test_a_cut_before_a_byte_is_tried_once_more(fake_upstream: FakeUpstream, cut: Script) -> None:
    fake_upstream.enqueue(cut, text("well"))
    assert ask().text == "well"
    assert len(fake_upstream.history) == 2
    fake_upstream.enqueue(cut, cut, text("too late"))
    assert isinstance(ask().error, errors.ProviderUnreachable)
    assert len(fake_upstream.history) == 4


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
def test_a_refusal_is_final(fake_upstream: FakeUpstream, script: Script, expected: type[errors.ProviderError]) -> None:
    fake_upstream.enqueue(script)
    answer = ask()
    assert type(answer.error) is expected
    assert "upstream wording" not in str(answer.error)
    assert answer.events == []
    assert len(fake_upstream.history) == 1


@pytest.mark.parametrize("body", TOO_LONG)
def test_a_prompt_beyond_the_window_is_recognised(fake_upstream: FakeUpstream, body: dict[str, str]) -> None:
    fake_upstream.enqueue(error(400, **body))  # type: ignore[arg-type]
    assert type(ask().error) is errors.ContextTooLong
    assert len(fake_upstream.history) == 1


@pytest.mark.parametrize("key", ["canary-é", "canary\n-key"])
def test_a_key_that_fits_no_header_is_a_fault_of_the_configuration(
    fake_upstream: FakeUpstream, settings: Any, key: str
) -> None:
    settings.OPENAI_API_KEY = key
    assert type(ask().error) is errors.ProviderMisconfigured
    assert fake_upstream.history == []


def test_a_redirect_is_not_followed(fake_upstream: FakeUpstream) -> None:
    with FakeUpstream() as elsewhere:
        fake_upstream.enqueue(error(307, headers={"Location": f"{elsewhere.url}/chat/completions"}))
        assert ask().error
        assert elsewhere.history == []


@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"Retry-After": "0"}, {"retry-after-ms": "300"}])
def test_a_short_wait_is_waited_once(fake_upstream: FakeUpstream, header: dict[str, str]) -> None:
    fake_upstream.enqueue(error(429, headers=header), text("well"))
    began = time.monotonic()
    assert ask().text == "well"
    first, second = fake_upstream.history
    wait = float(header.get("Retry-After", 1))
    assert second["at"] - first["at"] >= wait
    assert time.monotonic() - began >= wait


def test_a_second_short_wait_is_not_waited(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(*[error(429, headers={"Retry-After": "1"})] * 2)
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after == 1
    assert len(fake_upstream.history) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", range(7, 8)), ("2.5", range(3, 4)), ("9999999", range(86400, 86401)), ("date", range(28, 32))],
)
def test_a_longer_wait_is_reported_at_once(
    fake_upstream: FakeUpstream, status: int, header: str, seconds: range
) -> None:
    if header == "date":
        header = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30), usegmt=True)
    fake_upstream.enqueue(error(status, headers={"Retry-After": header}))
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after in seconds
    assert len(fake_upstream.history) == 1


@pytest.mark.parametrize("header", [None, "soon", "-3", "nan", "inf", "Wed, 99 Foo 2026 00:00:00 GMT", "\u0663"])
def test_a_429_without_a_usable_wait_fails_at_once(fake_upstream: FakeUpstream, header: str | None) -> None:
    given = {} if header is None else {"Retry-After": header.encode().decode("latin-1")}
    fake_upstream.enqueue(error(429, headers=given))
    answer = ask()
    assert type(answer.error) is errors.ProviderBusy
    assert answer.error.retry_after is None
    assert len(fake_upstream.history) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_server_error_is_tried_once_more(fake_upstream: FakeUpstream, status: int) -> None:
    page = error(status, body=b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"})
    fake_upstream.enqueue(page, text("well"), page, page, text("too late"))
    assert ask().text == "well"
    assert type(ask().error) is errors.ProviderBusy
    assert len(fake_upstream.history) == 4


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
def test_an_answer_that_is_no_plain_event_stream_is_broken(fake_upstream: FakeUpstream, script: Script) -> None:
    fake_upstream.always(script)
    answer = ask()
    assert type(answer.error) is errors.ProviderInterrupted
    assert answer.events == []


def test_an_empty_event_stream_is_an_empty_answer(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream())
    assert type(ask().error) is errors.EmptyAnswer


@pytest.mark.parametrize(
    "steps",
    [(Repeat(b"x" * 65_536),), (Send(b"{"), Sleep(60))],
    ids=["endless", "never ending"],
)
def test_an_error_body_without_end_is_cut(fake_upstream: FakeUpstream, settings: Any, steps: tuple[Step, ...]) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 1
    fake_upstream.enqueue(Script(steps, status=401, headers={"Content-Type": "application/json"}))
    assert ask().error
    assert fake_upstream.history[0]["left"].wait(5)
    assert fake_upstream.history[0]["sent"] < 16_000_000


def test_a_bomb_in_an_error_body_is_not_unpacked(fake_upstream: FakeUpstream) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    fake_upstream.enqueue(Script([Send(bomb)], status=401, headers=headers, length=len(bomb)))
    assert type(ask().error) is errors.ProviderMisconfigured


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("stream_options", "include_usage is not supported here"),
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model."),
    ],
)
def test_an_optional_field_that_is_rejected_is_dropped_and_remembered(
    fake_upstream: FakeUpstream, field: str, message: str
) -> None:
    fake_upstream.enqueue(error(400, message=message))
    assert ask("one").text == "one "
    assert ask("two").text == "two "
    first, second, third = (request["json"] for request in fake_upstream.history)
    assert field in first
    assert field not in second
    assert field not in third
    assert set(first) - {field} <= set(second) == set(third)


def test_the_output_cap_goes_by_its_other_name_where_one_is_rejected(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(error(400, message="'max_tokens' is not supported with this model.", param="max_tokens"))
    ask(max_output_tokens=77)
    assert fake_upstream.history[1]["json"]["max_completion_tokens"] == 77


@pytest.mark.parametrize("field", ["safety_identifier", "store", "max_completion_tokens", "stream_options"])
def test_fields_for_openai_may_be_rejected_too(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr(requests, "is_openai", lambda base_url: True)
    fake_upstream.enqueue(error(400, message="Unknown parameter.", param=field))
    assert ask("one", safety="person-1").text == "one "
    assert field in fake_upstream.history[0]["json"]
    assert field not in fake_upstream.history[1]["json"]


def test_a_field_named_by_a_validation_error_is_dropped(fake_upstream: FakeUpstream) -> None:
    body = b'{"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted", "input": {}}]}'
    fake_upstream.enqueue(error(422, body=body))
    assert ask("one").text == "one "
    assert "stream_options" not in fake_upstream.history[1]["json"]


def test_a_prompt_echoed_in_an_error_drops_no_field(fake_upstream: FakeUpstream) -> None:
    body = b'{"detail": [{"loc": ["body", "messages"], "msg": "no", "input": "max_tokens stream_options"}]}'
    fake_upstream.enqueue(error(422, body=body))
    assert type(ask().error) is errors.ProviderRejected
    assert len(fake_upstream.history) == 1


def test_a_field_is_not_forgotten_for_a_request_that_fails_without_it_too(fake_upstream: FakeUpstream) -> None:
    rejection = error(400, message="stream_options and everything else is wrong")
    fake_upstream.enqueue(rejection, rejection)
    assert type(ask().error) is errors.ProviderRejected
    ask("again")
    assert "stream_options" in fake_upstream.history[2]["json"]


def test_a_cap_above_the_models_own_is_left_out_for_that_model_only(fake_upstream: FakeUpstream) -> None:
    message = "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 2048"
    fake_upstream.enqueue(error(400, message=message))
    assert ask(model="small").finish == "stop"
    ask(model="small")
    ask(model="large")
    caps = ["max_tokens" in request["json"] for request in fake_upstream.history]
    assert caps == [True, False, False, True]
    assert all("max_completion_tokens" not in request["json"] for request in fake_upstream.history)


def test_configuration_faults_are_logged_once_a_minute(
    fake_upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    fake_upstream.enqueue(*[error(401)] * 3)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            ask()
    errors_logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors_logged) == 1
    assert "401" in errors_logged[0].getMessage()


def test_the_admin_can_read_the_faults_of_the_last_hour(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_upstream.enqueue(error(401), error(401), error(429), text("well"))
    for _ in range(4):
        ask()
    first, second = recent_errors()
    assert (first.code, first.status, first.count, first.tell_admin) == ("upstream-misconfigured", 401, 2, True)
    assert (second.code, second.status, second.count, second.tell_admin) == ("upstream-busy", 429, 1, False)
    now = time.monotonic()
    monkeypatch.setattr("chat.providers.recent_errors.time.monotonic", lambda: now + recent_errors.KEPT + 1)
    assert recent_errors() == []


def test_it_lists_the_models(fake_upstream: FakeUpstream) -> None:
    body = b'{"data": [{"id": "b"}, {"id": "a"}, {"id": ""}, {"id": 7}, {"id": "a\\nb"}]}'
    fake_upstream.enqueue(error(200, body=body))
    assert run(list_models) == ["a", "b"]
    assert fake_upstream.history[0]["path"] == "/v1/models"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (error(401), errors.ProviderMisconfigured),
        (error(500), errors.ProviderBusy),
        (reset(), errors.ProviderUnreachable),
        (error(200, body=b"<html>"), errors.ProviderInterrupted),
        (error(200, body=b"[]"), errors.ProviderInterrupted),
        (error(200, body=b'{"data": [1]}'), errors.ProviderInterrupted),
        (stream(Repeat(b"x" * 65_536)), errors.ProviderInterrupted),
        (stream(b"{", Reset()), errors.ProviderUnreachable),
    ],
)
def test_a_list_of_models_that_cannot_be_had_is_one_of_our_errors(
    fake_upstream: FakeUpstream, script: Script, expected: type[errors.ProviderError]
) -> None:
    fake_upstream.always(script)
    with pytest.raises(errors.ProviderError) as caught:
        run(list_models)
    assert type(caught.value) is expected
