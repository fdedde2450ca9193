"""Optional request fields that a server rejects."""

from __future__ import annotations

import pytest

from chat import errors
from chat.infra.process import process
from chat.providers import request as requests
from tests.completions import ask
from tests.fakes import FakeProvider, error


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    process.forget()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("stream_options", "include_usage is not supported here"),
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model."),
    ],
)
def test_a_rejected_field_is_omitted_from_then_on(fake_provider: FakeProvider, field: str, message: str) -> None:
    fake_provider.enqueue(error(400, message=message))
    assert ask("one").text == "one "
    assert ask("two").text == "two "
    first, second, third = (request["json"] for request in fake_provider.history)
    assert field in first
    assert field not in second
    assert field not in third
    assert set(first) - {field} <= set(second) == set(third)


def test_the_other_name_of_the_output_limit_is_tried(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(error(400, message="'max_tokens' is not supported with this model.", param="max_tokens"))
    ask(max_output_tokens=77)
    assert fake_provider.history[1]["json"]["max_completion_tokens"] == 77


@pytest.mark.parametrize("field", ["safety_identifier", "store", "max_completion_tokens", "stream_options"])
def test_fields_for_openai_may_be_rejected_too(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr(requests, "is_openai", lambda base_url: True)
    fake_provider.enqueue(error(400, message="Unknown parameter.", param=field))
    assert ask("one", safety="person-1").text == "one "
    assert field in fake_provider.history[0]["json"]
    assert field not in fake_provider.history[1]["json"]


def test_a_field_named_by_a_validation_error_is_omitted(fake_provider: FakeProvider) -> None:
    body = b'{"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted", "input": {}}]}'
    fake_provider.enqueue(error(422, body=body))
    assert ask("one").text == "one "
    assert "stream_options" not in fake_provider.history[1]["json"]


def test_a_prompt_repeated_in_an_error_rejects_no_field(fake_provider: FakeProvider) -> None:
    body = b'{"detail": [{"loc": ["body", "messages"], "msg": "no", "input": "max_tokens stream_options"}]}'
    fake_provider.enqueue(error(422, body=body))
    assert type(ask().error) is errors.ProviderRejected
    assert len(fake_provider.history) == 1


def test_a_field_is_not_remembered_if_the_request_fails_without_it_too(fake_provider: FakeProvider) -> None:
    rejection = error(400, message="stream_options and everything else is wrong")
    fake_provider.enqueue(rejection, rejection)
    assert type(ask().error) is errors.ProviderRejected
    ask("again")
    assert "stream_options" in fake_provider.history[2]["json"]


def test_an_output_limit_that_is_too_large_is_omitted_for_that_model_only(fake_provider: FakeProvider) -> None:
    message = "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 2048"
    fake_provider.enqueue(error(400, message=message))
    assert ask(model="small").finish == "stop"
    ask(model="small")
    ask(model="large")
    caps = ["max_tokens" in request["json"] for request in fake_provider.history]
    assert caps == [True, False, False, True]
    assert all("max_completion_tokens" not in request["json"] for request in fake_provider.history)
