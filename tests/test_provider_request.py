"""The JSON fields of a request for a completion."""

from __future__ import annotations

import pytest

from chat.providers.request import json_fields
from tests.completions import ask, request
from tests.fakes import FakeProvider


def test_a_compatible_server_gets_no_field_that_only_openai_knows(fake_provider: FakeProvider) -> None:
    ask(safety="person-1", max_output_tokens=77)
    sent = fake_provider.history[0]
    assert set(sent["json"]) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert sent["json"]["max_tokens"] == 77
    assert sent["headers"]["accept-encoding"] == "identity"
    assert sent["headers"]["authorization"] == "Bearer test-key"
    assert not [name for name in sent["headers"] if name.startswith("x-stainless")], "what tells of this machine"


@pytest.mark.parametrize("base_url", ["", "https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_gets_its_own_fields(base_url: str) -> None:
    fields = json_fields(request(safety="person-1", max_output_tokens=77), base_url, frozenset())
    assert fields["max_completion_tokens"] == 77
    assert fields["safety_identifier"] == "person-1"
    assert fields["store"] is False
    assert "max_tokens" not in fields
