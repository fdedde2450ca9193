"""What the logs do not hold."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.completions import ask
from tests.fakes import FakeProvider, error, event, raw, reset_after, stream, text


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_no_log_holds_a_prompt_an_answer_a_key_or_text_of_the_provider(
    fake_provider: FakeProvider, caplog: pytest.LogCaptureFixture, settings: Any, level: int
) -> None:
    settings.OPENAI_API_KEY = "canary-key"
    with caplog.at_level(level):
        for name in ("httpx2", "httpcore2", "aiohttp", "asyncio", "chat"):
            caplog.set_level(level, name)
        fake_provider.enqueue(
            text("canary-answer", headers={"x-request-id": "canary\x1b[31m"}),
            error(401, message="canary-wording"),
            error(429, message="canary-wording", code="insufficient_quota"),
            error(400, message="canary-wording"),
            raw(b"canary-wording\r\n\r\n"),
            reset_after("canary-answer"),
            stream("canary-answer", event({"error": "canary-wording"})),
            stream("canary-answer", b"data: canary-wording\n\n"),
        )
        answers = [ask("canary-prompt") for _ in range(8)]
    assert len(fake_provider.history) == 8
    assert [answer.error is None for answer in answers] == [True] + [False] * 7
    assert "canary" not in caplog.text
    assert "\x1b" not in caplog.text
    assert not any("canary" in repr(record.__dict__) for record in caplog.records)
    assert not any("canary" in str(answer.error) for answer in answers)


def test_the_openai_package_logs_warnings_only() -> None:
    """At DEBUG it logs the provider's request id, which may hold anything."""
    assert logging.getLogger("openai.anything").getEffectiveLevel() == logging.WARNING
