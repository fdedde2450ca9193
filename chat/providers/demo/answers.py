"""What the demo model answers.

The first word of a prompt may be a command, so that every state of an answer can be seen; `/help` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chat.providers.demo import texts

TOKENS_PER_SECOND = 40.0
SLOW_TOKENS_PER_SECOND = 4.0

ERROR_RESPONSES: dict[str, tuple[int, str, dict[str, str]]] = {
    "400": (400, "invalid_request_error", {}),
    "401": (401, "invalid_api_key", {}),
    "403": (403, "permission_denied", {}),
    "404": (404, "model_not_found", {}),
    "429": (429, "rate_limit_exceeded", {"retry-after": "7"}),
    "quota": (429, "insufficient_quota", {"retry-after": "86400"}),
    "toolong": (400, "context_length_exceeded", {}),
    "500": (500, "server_error", {}),
    "502": (502, "bad_gateway", {}),
    "503": (503, "overloaded", {"retry-after": "30"}),
}
"""Faults in place of a stream: HTTP status, error code and headers."""
MIDWAY_FAULTS = frozenset({"cut", "stall", "error", "filter", "length"})
"""Faults in the middle of the text."""
FAULTS = frozenset({"unreachable", "timeout", "html", "empty", "refuse", *ERROR_RESPONSES, *MIDWAY_FAULTS})

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")


@dataclass(frozen=True, kw_only=True)
class DemoAnswer:
    """`tokens_per_second` is 0 for an answer without pauses; `fault` is the word after `/fail`."""

    text: str
    reasoning: str = ""
    tokens_per_second: float
    fault: str = ""

    def tokens(self) -> Iterator[tuple[str, str]]:
        """Yield each token with the name of the field of `delta` that carries it."""
        for token in self.reasoning_tokens():
            yield "reasoning_content", token
        for token in _TOKEN.findall(self.text):
            yield "refusal" if self.fault == "refuse" else "content", token

    def reasoning_tokens(self) -> list[str]:
        return _TOKEN.findall(self.reasoning)


def answer_to(turns: list[tuple[str, str]]) -> DemoAnswer:
    """The answer to a conversation of (role, content) pairs. It depends on the last question only.

    After a request to continue it is the rest of the answer that was cut.
    """
    question = turns[-1][1]
    if not _is_continue(turns):
        return _answer_to_question(question)
    shown = turns[-2][1]
    earlier_question = next((content for role, content in reversed(turns[:-2]) if role == "user"), "")
    whole = _answer_to_question(earlier_question).text
    rest = whole.removeprefix(shown) if whole.startswith(shown) else ""
    return _answer(rest or texts.NOTHING_LEFT)


def _is_continue(turns: list[tuple[str, str]]) -> bool:
    wanted = turns[-1][1].strip().lower().startswith(("continue", "go on", "/continue"))
    return wanted and len(turns) > 2 and turns[-2][0] == "assistant"


def _answer_to_question(question: str) -> DemoAnswer:
    stripped = question.lstrip()
    command = stripped.split(maxsplit=1)[0] if stripped else ""
    if answer := _COMMANDS.get(command.lower()):
        return answer(stripped[len(command) + 1 :])
    return _answer(texts.welcome(question))


def _failing_answer(fault: str) -> DemoAnswer:
    fault = fault.strip().lower()
    if fault not in FAULTS:
        return _answer(texts.HELP)
    text = {"empty": "", "refuse": texts.REFUSAL}.get(fault, texts.STORY)
    return _answer(text, fault=fault)


def _answer(text: str, *, reasoning: str = "", fault: str = "", tokens_per_second: float | None = None) -> DemoAnswer:
    rate = TOKENS_PER_SECOND if tokens_per_second is None else tokens_per_second
    return DemoAnswer(text=text, reasoning=reasoning, fault=fault, tokens_per_second=rate)


_COMMANDS: dict[str, Callable[[str], DemoAnswer]] = {
    "/slow": lambda rest: _answer(texts.welcome(rest), tokens_per_second=SLOW_TOKENS_PER_SECOND),
    "/fast": lambda rest: _answer(texts.welcome(rest), tokens_per_second=0),
    "/long": lambda rest: _answer(texts.long()),
    "/think": lambda rest: _answer(texts.welcome(rest), reasoning=texts.REASONING),
    "/markdown": lambda rest: _answer(texts.MARKDOWN),
    "/code": lambda rest: _answer(texts.CODE),
    "/echo": lambda rest: _answer(rest),
    "/help": lambda rest: _answer(texts.HELP),
    "/fail": _failing_answer,
}
