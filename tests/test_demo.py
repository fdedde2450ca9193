"""The demo model, through the real client."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from chat import errors, providers
from chat.events import Delta
from chat.providers.demo import answers, texts
from tests.completions import Answer, ask, collect, request, run


@pytest.fixture(autouse=True)
def without_a_key(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPENAI_API_KEY = settings.OPENAI_BASE_URL = ""
    settings.CHAT_FIRST_TOKEN_TIMEOUT = settings.CHAT_STALL_TIMEOUT = 0.3
    monkeypatch.setattr(answers, "TOKENS_PER_SECOND", 0)
    monkeypatch.setattr("chat.providers.failures.RETRY_PAUSE", 0.01)


def continued(question: str, shown: str, instruction: str = "Continue exactly where you stopped.") -> Answer:
    turns = tuple(
        providers.Turn(role=role, content=content)
        for role, content in (("system", "Be brief."), ("user", question), ("assistant", shown), ("user", instruction))
    )
    asked = providers.CompletionRequest(model="demo", turns=turns, max_output_tokens=4096)
    return run(lambda: collect(asked))


@pytest.mark.parametrize(
    ("key", "server", "is_demo"),
    [("", "", True), ("key", "", False), ("", "http://127.0.0.1:1/v1", False), ("key", "http://127.0.0.1:1/v1", False)],
)
def test_it_answers_only_without_a_key_and_a_server(settings: Any, key: str, server: str, is_demo: bool) -> None:
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = key, server
    assert providers.is_demo() is is_demo


def test_it_gives_a_short_complete_answer() -> None:
    answer = ask("What is love?")
    assert answer.finish == "stop"
    assert 100 < len(answer.text) < 1500


@pytest.mark.parametrize("part", ["**demo model**", "\n    What is love?\n", "OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_it_names_itself_quotes_the_question_and_tells_how_to_connect_a_model(part: str) -> None:
    assert part in ask("What is love?").text


def test_its_usage_counts_its_tokens() -> None:
    answer = ask("hello")
    assert answer.usage
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 50
    assert answer.usage.exact


def test_a_question_is_quoted_as_plain_text() -> None:
    answer = ask("```\n# <b>x</b>\r\n| a | b |\r\r1. x")
    quoted = answer.text.partition("You wrote:\n\n")[2].partition("\n\nTo connect")[0]
    assert all(line.startswith("    ") for line in quoted.split("\n"))
    assert "<b>x</b>" in quoted


def test_a_long_question_is_quoted_in_part() -> None:
    assert len(ask("x" * 30_000).text) < 2000


def test_it_streams_token_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TOKENS_PER_SECOND", 1000)
    deltas = [event for event in ask("/echo one two three four five").events if isinstance(event, Delta)]
    assert len(deltas) >= 5


@pytest.mark.parametrize(
    "words", ["a", " two  spaces ", "line\nline\r\n\ttab", "data: [DONE]\n\n", "👩\u200d🚀 é", "/echo x"]
)
def test_echo_repeats_the_text_exactly(words: str) -> None:
    assert ask(f"/echo {words}").text == words


def test_help_lists_every_command() -> None:
    listed = ask("/help").text
    for word in ("/slow", "/fast", "/long", "/think", "/markdown", "/code", "/echo", "/fail", "/help"):
        assert f"`{word}" in listed


def test_help_lists_every_fault() -> None:
    listed = ask("/help").text
    for fault in answers.FAULTS:
        assert f"`{fault}`" in listed


def test_fast_has_no_pauses() -> None:
    assert answers.answer_to([("user", "/fast x")]).tokens_per_second == 0


def test_slow_has_long_pauses() -> None:
    assert 0 < answers.answer_to([("user", "/slow x")]).tokens_per_second < 10


def test_long_is_about_two_thousand_tokens() -> None:
    usage = ask("/long").usage
    assert usage
    assert 1500 < usage.completion_tokens < 2500


def test_it_keeps_the_output_limit() -> None:
    answer = ask("/long", max_output_tokens=100)
    assert answer.finish == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 100


def test_think_reasons_before_it_answers() -> None:
    answer = ask("/think hard")
    assert answer.reasoning == texts.REASONING
    assert "    hard" in answer.text
    assert answer.usage
    assert 0 < answer.usage.reasoning_tokens < answer.usage.completion_tokens


@pytest.mark.parametrize(
    ("command", "part"), [("/markdown", "| left |"), ("/code", "```python"), ("/CODE", "```python")]
)
def test_it_shows_markdown_and_code(command: str, part: str) -> None:
    assert part in ask(command).text


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
def test_fail_simulates_each_fault(fault: str, expected: Any) -> None:
    answer = ask(f"/fail {fault}")
    assert (answer.finish or type(answer.error)) == expected
    assert bool(answer.text) == (fault in ("cut", "stall", "error", "refuse", "filter", "length"))


def test_a_429_has_a_retry_after() -> None:
    error = ask("/fail 429").error
    assert error
    assert error.retry_after == 7


@pytest.mark.parametrize("question", ["/fail somehow", "/fail"])
def test_an_unknown_fault_gets_the_help(question: str) -> None:
    assert ask(question).text == texts.HELP


@pytest.mark.parametrize("question", ["/fail length", "/fail cut", "/fail stall"])
def test_an_interrupted_answer_is_continued(question: str) -> None:
    first = ask(question).text
    rest = continued(question, first).text
    assert first + rest == texts.STORY


def test_a_stopped_answer_is_continued() -> None:
    whole = ask("hello").text
    assert continued("hello", whole[:100]).text == whole[100:]


def test_a_complete_answer_has_nothing_to_continue() -> None:
    assert continued("hello", ask("hello").text, "continue").text == texts.NOTHING_LEFT


def test_a_first_message_may_start_with_continue() -> None:
    assert "    continue the story" in ask("continue the story").text


def test_it_lists_its_model() -> None:
    assert run(providers.list_models) == ["demo"]


def test_closing_the_stream_stops_it() -> None:
    async def work() -> int:
        async with aclosing(providers.stream_completion(request("/slow"))) as stream:
            await anext(stream)
            await anext(stream)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(work) == 1
