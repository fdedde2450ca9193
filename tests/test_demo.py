"""The embedded demo model, through the real client."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from chat import errors, providers
from chat.events import Delta
from chat.providers.demo import model as demo
from chat.providers.demo import texts
from tests.asking import Answer, ask, collect, request, run


@pytest.fixture(autouse=True)
def without_a_key(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPENAI_API_KEY = settings.OPENAI_BASE_URL = ""
    settings.CHAT_FIRST_TOKEN_TIMEOUT = settings.CHAT_STALL_TIMEOUT = 0.3
    monkeypatch.setattr(demo, "TOKENS_PER_SECOND", 0)
    monkeypatch.setattr("chat.providers.failures.RETRY_PAUSE", 0.01)


def continued(question: str, said: str, wish: str = "Continue exactly where you stopped.") -> Answer:
    turns = tuple(
        providers.Turn(role=role, content=content)
        for role, content in (("system", "Be brief."), ("user", question), ("assistant", said), ("user", wish))
    )
    asked = providers.CompletionRequest(model="demo", turns=turns, max_output_tokens=4096)
    return run(lambda: collect(asked))


def test_it_is_the_demo_only_without_key_and_server(settings: Any) -> None:
    assert providers.is_demo()
    settings.OPENAI_BASE_URL = "http://127.0.0.1:1/v1"
    assert not providers.is_demo()
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "", "key"
    assert not providers.is_demo()


def test_it_says_that_it_is_a_demo_quotes_the_question_and_says_how_to_connect_a_model() -> None:
    answer = ask("What is love?")
    assert answer.finish == "stop"
    assert "**demo model**" in answer.text
    assert "\n    What is love?\n" in answer.text
    assert "OPENAI_API_KEY" in answer.text
    assert "OPENAI_BASE_URL" in answer.text
    assert len(answer.text) < 1500


def test_its_usage_counts_what_it_said() -> None:
    answer = ask("hello")
    assert answer.usage
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 50
    assert answer.usage.exact


def test_a_question_cannot_break_out_of_its_quotation() -> None:
    answer = ask("```\n# <b>x</b>\r\n| a | b |\r\r1. x")
    quoted = answer.text.partition("You wrote:\n\n")[2].partition("\n\nTo connect")[0]
    assert all(line.startswith("    ") for line in quoted.split("\n"))
    assert "<b>x</b>" in quoted


def test_a_long_question_is_quoted_in_part() -> None:
    assert len(ask("x" * 30_000).text) < 2000


def test_it_streams_token_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TOKENS_PER_SECOND", 1000)
    deltas = [event for event in ask("/echo one two three four five").events if isinstance(event, Delta)]
    assert len(deltas) >= 5


@pytest.mark.parametrize(
    "said", ["a", " two  spaces ", "line\nline\r\n\ttab", "data: [DONE]\n\n", "👩\u200d🚀 é", "/echo x"]
)
def test_echo_says_the_text_back_exactly(said: str) -> None:
    assert ask(f"/echo {said}").text == said


def test_help_lists_every_command_and_every_fault() -> None:
    listed = ask("/help").text
    for word in ("/slow", "/fast", "/long", "/think", "/markdown", "/code", "/echo", "/fail", "/help"):
        assert f"`{word}" in listed
    for fault in demo.FAULTS:
        assert f"`{fault}`" in listed


def test_fast_has_no_pauses_and_slow_has_long_ones() -> None:
    assert demo.plan_for([("user", "/fast x")]).tokens_per_second == 0
    assert 0 < demo.plan_for([("user", "/slow x")]).tokens_per_second < 10


def test_long_is_about_two_thousand_tokens() -> None:
    usage = ask("/long").usage
    assert usage
    assert 1500 < usage.completion_tokens < 2500


def test_it_keeps_to_the_cap() -> None:
    answer = ask("/long", max_output_tokens=100)
    assert answer.finish == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 100


def test_think_reasons_before_it_answers() -> None:
    answer = ask("/think hard")
    assert answer.reasoning == texts.THOUGHT
    assert "    hard" in answer.text
    assert answer.usage
    assert 0 < answer.usage.reasoning_tokens < answer.usage.completion_tokens


@pytest.mark.parametrize(
    ("command", "sign"), [("/markdown", "| left |"), ("/code", "```python"), ("/CODE", "```python")]
)
def test_the_tours(command: str, sign: str) -> None:
    assert sign in ask(command).text


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("400", errors.ProviderRejected),
        ("401", errors.ProviderMisconfigured),
        ("403", errors.ProviderMisconfigured),
        ("404", errors.ProviderMisconfigured),
        ("429", errors.ProviderBusy),
        ("quota", errors.ProviderQuotaExceeded),
        ("toolong", errors.ContextTooLong),
        ("500", errors.ProviderBusy),
        ("502", errors.ProviderBusy),
        ("503", errors.ProviderBusy),
        ("unreachable", errors.ProviderUnreachable),
        ("timeout", errors.ProviderTimeout),
        ("cut", errors.ProviderInterrupted),
        ("stall", errors.ProviderTimeout),
        ("html", errors.ProviderInterrupted),
        ("error", errors.ProviderInterrupted),
        ("empty", errors.EmptyAnswer),
        ("refuse", "refusal"),
        ("filter", "content_filter"),
        ("length", "length"),
    ],
)
def test_it_fails_as_told(fault: str, expected: Any) -> None:
    answer = ask(f"/fail {fault}")
    assert (answer.finish or type(answer.error)) == expected
    assert bool(answer.text) == (fault in ("cut", "stall", "error", "refuse", "filter", "length"))


def test_a_busy_demo_says_when_to_come_back() -> None:
    error = ask("/fail 429").error
    assert error
    assert error.retry_after == 7


def test_an_unknown_fault_gets_the_help() -> None:
    assert ask("/fail somehow").text == texts.HELP
    assert ask("/fail").text == texts.HELP


@pytest.mark.parametrize("question", ["/fail length", "/fail cut", "/fail stall"])
def test_it_continues_where_it_was_cut_off(question: str) -> None:
    first = ask(question).text
    rest = continued(question, first).text
    assert first + rest == texts.STORY


def test_a_stopped_answer_is_continued() -> None:
    whole = ask("hello").text
    assert continued("hello", whole[:100]).text == whole[100:]


def test_a_complete_answer_has_nothing_to_continue() -> None:
    assert continued("hello", ask("hello").text, "continue").text == texts.NOTHING_LEFT


def test_a_first_message_may_begin_with_continue() -> None:
    assert "    continue the story" in ask("continue the story").text


def test_it_lists_its_model() -> None:
    assert run(providers.list_models) == ["demo"]


def test_leaving_stops_it() -> None:
    async def work() -> int:
        async with aclosing(providers.stream_completion(request("/slow"))) as stream:
            await anext(stream)
            await anext(stream)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(work) == 1
