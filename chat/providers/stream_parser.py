"""From the bytes of a Chat Completions stream to events.

Runs for every token of every answer, so it splits bytes and looks at no more of a
chunk than it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from chat import errors
from chat.events import Delta, FinishReason, ProviderEvent, Reasoning, Usage
from chat.providers import failures
from chat.providers.request import CompletionRequest

LINE_LIMIT = 1_048_576
ANSWER_LIMIT = 16 * 1_048_576
# More text than this for the tokens asked for means that the server ignores the cap.
CHARS_PER_TOKEN = 10
CHARS_SPARE = 2_000
PROMPT_TOKENS_SPARE = 100_000

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}


class StreamParser:
    """Reads one answer.

    `finish` is the provider's reason once it came, `done` that nothing will follow,
    `full` that the answer outgrew a limit of ours and must be cut.
    """

    def __init__(self, request: CompletionRequest) -> None:
        self.finish: FinishReason | None = None
        self.done = False
        self.full = False
        self.chars = 0
        self.thought_chars = 0
        self.empty = True
        self._request = request
        self._char_limit = request.max_output_tokens * CHARS_PER_TOKEN + CHARS_SPARE
        self._refused = False
        self._usage: Usage | None = None
        self._bytes = 0
        self._tail = b""
        self._broken = b""
        self._error_event = False
        self._halves: dict[type[Delta] | type[Reasoning], str] = {}
        self._runs: list[tuple[type[Delta] | type[Reasoning], list[str]]] = []

    def feed(self, data: bytes) -> None:
        """Reads one network read; raises `UpstreamError` on an error event or broken JSON.

        What was read up to there is good either way: `take` gives it.
        """
        self._bytes += len(data)
        if b"\n" not in data:
            self._tail += data
        else:
            lines = (self._tail + data).split(b"\n")
            self._tail = lines.pop()
            self._read(lines)
        if len(self._tail) > LINE_LIMIT or self._bytes > ANSWER_LIMIT:
            self.full = True

    def end(self) -> None:
        """The bytes ended: a last line needs no line end, half a character gets no mate."""
        if self._tail:
            line, self._tail = self._tail, b""
            self._read([line])
        if self._broken:
            raise errors.ProviderInterrupted

    def take(self) -> list[ProviderEvent]:
        """What was read and not taken yet, neighbours of one kind merged."""
        runs, self._runs = self._runs, []
        events: list[ProviderEvent] = []
        for kind, texts in runs:
            text = texts[0] if len(texts) == 1 else "".join(texts)
            if kind is Delta:
                self.chars += len(text)
            else:
                self.thought_chars += len(text)
            events.append(kind(text=text))
        if self.chars + self.thought_chars > self._char_limit:
            self.full = True
        return events

    def take_halves(self) -> list[ProviderEvent]:
        """Halves of characters whose mates will not come."""
        for kind in tuple(self._halves):
            self._say(kind, "")
        return self.take()

    def usage(self) -> list[ProviderEvent]:
        """The provider's last count, if it can be true."""
        usage = self._usage
        if usage is None:
            return []
        said = self.chars + self.thought_chars
        asked = sum(len(turn.content) for turn in self._request.turns)
        plausible = (
            0 < usage.prompt_tokens <= 4 * asked + PROMPT_TOKENS_SPARE
            and usage.completion_tokens <= max(2 * self._request.max_output_tokens, 4 * said)
            and said <= usage.completion_tokens * CHARS_PER_TOKEN + CHARS_SPARE
            and (usage.completion_tokens > 0 or not said)
        )
        return [usage] if plausible else []

    def has_text(self) -> bool:
        return bool(self._runs)

    def reason(self) -> FinishReason | None:
        if self._refused and self.finish == "stop":
            return "refusal"
        return self.finish

    def _read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.startswith(b"data:"):
                self._data(line[5:])
            elif line or self._broken or self._error_event:
                self._other(line)

    def _other(self, line: bytes) -> None:
        if self.done:
            return
        if line in (b"", b"\r"):
            self._error_event = False
            if self._broken:
                raise errors.ProviderInterrupted
        elif line.startswith(b"event:"):
            self._error_event = line[6:].strip() == b"error"
        elif line.startswith(b"error:"):
            raise failures.from_error_event(_loads_leniently(line[6:]))

    def _data(self, payload: bytes) -> None:
        if self.done:
            return
        if self._broken:
            payload, self._broken = self._broken + b"\n" + payload, b""
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            stripped = payload.strip()
            if stripped == b"[DONE]":
                self.done = True
                return
            chunk = _loads_leniently(payload)
            if chunk is None and stripped:
                self._broken = payload
                return
        if type(chunk) is dict:
            self._chunk(chunk)
        elif self._error_event:
            raise failures.from_error_event(chunk)

    def _chunk(self, chunk: dict[str, Any]) -> None:
        self.empty = False
        choices = chunk.get("choices")
        if chunk.get("error") or self._error_event or (not choices and _is_error(chunk)):
            raise failures.from_error_event(chunk)
        if usage := chunk.get("usage"):
            self._count(usage)
        if type(choices) is not list or not choices or type(choices[0]) is not dict:
            return
        choice = choices[0]
        delta = choice.get("delta")
        if type(delta) is dict:
            text = delta.get("content")
            if not text or len(delta) > 1:
                self._beside(delta)
            if text:
                self._say(Delta, text)
        if finish := choice.get("finish_reason"):
            self._finished(finish, choice)

    def _beside(self, delta: dict[str, Any]) -> None:
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._say(Reasoning, thought)
        if refusal := delta.get("refusal"):
            self._refused = True
            self._say(Delta, refusal)

    def _finished(self, finish: object, choice: dict[str, Any]) -> None:
        if finish == "error":
            raise errors.ProviderInterrupted
        self.finish = _FINISH.get(finish, "stop") if isinstance(finish, str) else "stop"
        if usage := choice.get("usage"):
            self._count(usage)

    def _say(self, kind: type[Delta] | type[Reasoning], text: object) -> None:
        if type(text) is not str:
            return
        if kind in self._halves or not text.isascii():
            text = self._whole(kind, text)
        if not text:
            return
        if self._runs and self._runs[-1][0] is kind:
            self._runs[-1][1].append(text)
        else:
            self._runs.append((kind, [text]))

    def _whole(self, kind: type[Delta] | type[Reasoning], text: str) -> str:
        """Joins surrogate halves across deltas; half a pair at the end waits for its mate."""
        held = self._halves.pop(kind, "")
        if held and not text:
            return "\N{REPLACEMENT CHARACTER}"
        text = held + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._halves[kind], text = text[-1], text[:-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def _count(self, usage: object) -> None:
        """Takes a count in place of an earlier one; servers send them once, after every chunk, or twice."""
        if type(usage) is not dict:
            return
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (type(prompt) is int and type(completion) is int and prompt > 0 and completion >= 0):
            return
        self._usage = Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=_part(usage.get("prompt_tokens_details"), "cached_tokens", prompt),
            reasoning_tokens=_part(usage.get("completion_tokens_details"), "reasoning_tokens", completion),
        )


def _part(details: object, name: str, whole: int) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if type(value) is int and 0 <= value <= whole else 0


def _is_error(chunk: dict[str, Any]) -> bool:
    return chunk.get("object") == "error" or "detail" in chunk


def _loads_leniently(payload: bytes) -> Any:
    """JSON with invalid UTF-8 or halves of surrogate pairs in it; None where it is no JSON at all."""
    try:
        return json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
