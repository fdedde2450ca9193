"""The list of models of the provider."""

from __future__ import annotations

import pytest

from chat import errors
from chat.providers import list_models
from tests.completions import run
from tests.fakes import FakeProvider, Repeat, Reset, Script, error, reset, stream


def test_it_lists_the_models(fake_provider: FakeProvider) -> None:
    body = b'{"data": [{"id": "b"}, {"id": "a"}, {"id": ""}, {"id": 7}, {"id": "a\\nb"}]}'
    fake_provider.enqueue(error(200, body=body))
    assert run(list_models) == ["a", "b"]
    assert fake_provider.history[0]["path"] == "/v1/models"


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
def test_a_failed_list_of_models_is_a_provider_error(
    fake_provider: FakeProvider, script: Script, expected: type[errors.ProviderError]
) -> None:
    fake_provider.always(script)
    with pytest.raises(errors.ProviderError) as caught:
        run(list_models)
    assert type(caught.value) is expected
