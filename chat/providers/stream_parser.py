"""Parse the bytes of a Chat Completions stream into events.

This runs for every token of every answer, so it splits bytes and looks at no more of a chunk than it needs.
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

MAX_LINE_BYTES = 1_048_576
MAX_ANSWER_BYTES = 16 * 1_048_576
# More characters than this for the tokens that were requested: the server ignores the output limit.
MAX_CHARS_PER_TOKEN = 10
EXTRA_CHARS = 2_000
# A prompt may count more tokens than four times its characters by this many, for instance for a hidden system prompt.
EXTRA_PROMPT_TOKENS = 100_000

_FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}

TextEvent = type[Delta] | type[Reasoning]


class StreamParser:
    """Parses one answer.

    Attributes: `finish_reason` is None until the provider sends one. `done`: the provider said that nothing follows.
    `too_long`: the answer exceeds one of our limits and must be cut. `has_chunks`: at least one chunk has arrived.
    `text_chars` and `reasoning_chars` count what `take_events` returned.
    """

    def __init__(self, request: CompletionRequest) -> None:
        self.finish_reason: FinishReason | None = None
        self.done = False
        self.too_long = False
        self.has_chunks = False
        self.text_chars = 0
        self.reasoning_chars = 0
        self._prompt_chars = sum(len(turn.content) for turn in request.turns)
        self._max_output_tokens = request.max_output_tokens
        self._max_chars = request.max_output_tokens * MAX_CHARS_PER_TOKEN + EXTRA_CHARS
        self._has_refusal = False
        self._usage: Usage | None = None
        self._bytes = 0
        self._last_line = b""
        """The start of a line whose end has not arrived."""
        self._partial_json = b""
        """The start of a JSON value that goes on in the next `data:` line."""
        self._in_error_event = False
        self._surrogates: dict[TextEvent, str] = {}
        """The first half of a surrogate pair whose second half has not arrived."""
        self._texts: list[tuple[TextEvent, list[str]]] = []

    def feed(self, data: bytes) -> None:
        """Parse what one read from the network returned.

        Raises `ProviderError` for an error event or invalid JSON. The text before it can still be taken.
        """
        self._bytes += len(data)
        if b"\n" not in data:
            self._last_line += data
        else:
            lines = (self._last_line + data).split(b"\n")
            self._last_line = lines.pop()
            self._parse_lines(lines)
        if len(self._last_line) > MAX_LINE_BYTES or self._bytes > MAX_ANSWER_BYTES:
            self.too_long = True

    def end(self) -> None:
        """Parse a last line without a line end. Raises `ProviderError` like `feed`."""
        if self._last_line:
            line, self._last_line = self._last_line, b""
            self._parse_lines([line])
        if self._partial_json:
            raise errors.ProviderInterrupted

    def has_new_text(self) -> bool:
        return bool(self._texts)

    def take_events(self) -> list[ProviderEvent]:
        """Return the text since the last call; adjacent pieces of one kind are one event."""
        texts, self._texts = self._texts, []
        events: list[ProviderEvent] = []
        for kind, pieces in texts:
            text = pieces[0] if len(pieces) == 1 else "".join(pieces)
            if kind is Delta:
                self.text_chars += len(text)
            else:
                self.reasoning_chars += len(text)
            events.append(kind(text=text))
        if self.text_chars + self.reasoning_chars > self._max_chars:
            self.too_long = True
        return events

    def flush_surrogates(self) -> list[ProviderEvent]:
        """At the end of the stream: return unpaired surrogates as replacement characters."""
        for kind in tuple(self._surrogates):
            self._add_text(kind, "")
        return self.take_events()

    def final_reason(self) -> FinishReason | None:
        """The finish reason; "refusal" where the text was one. None if the provider sent none."""
        if self._has_refusal and self.finish_reason == "stop":
            return "refusal"
        return self.finish_reason

    def usage(self) -> Usage | None:
        """The provider's token counts, or None if it sent none that are plausible for the request and the answer."""
        usage, chars = self._usage, self.text_chars + self.reasoning_chars
        if usage is None:
            return None
        plausible = (
            usage.prompt_tokens <= 4 * self._prompt_chars + EXTRA_PROMPT_TOKENS
            and usage.completion_tokens <= max(2 * self._max_output_tokens, 4 * chars)
            and chars <= usage.completion_tokens * MAX_CHARS_PER_TOKEN + EXTRA_CHARS
            and (usage.completion_tokens > 0 or not chars)
        )
        return usage if plausible else None

    def _parse_lines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.startswith(b"data:"):
                self._parse_data(line[5:])
            elif line or self._partial_json or self._in_error_event:
                self._parse_other_line(line)

    def _parse_other_line(self, line: bytes) -> None:
        if self.done:
            return
        if line in (b"", b"\r"):
            self._in_error_event = False
            if self._partial_json:
                raise errors.ProviderInterrupted
        elif line.startswith(b"event:"):
            self._in_error_event = line[6:].strip() == b"error"
        elif line.startswith(b"error:"):
            raise failures.from_error_event(_loads_leniently(line[6:]))

    def _parse_data(self, payload: bytes) -> None:
        if self.done:
            return
        if self._partial_json:
            payload, self._partial_json = self._partial_json + b"\n" + payload, b""
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            stripped = payload.strip()
            if stripped == b"[DONE]":
                self.done = True
                return
            chunk = _loads_leniently(payload)
            if chunk is None and stripped:
                self._partial_json = payload
                return
        if type(chunk) is dict:
            self._parse_chunk(chunk)
        elif self._in_error_event:
            raise failures.from_error_event(chunk)

    def _parse_chunk(self, chunk: dict[str, Any]) -> None:
        self.has_chunks = True
        choices = chunk.get("choices")
        if chunk.get("error") or self._in_error_event or (not choices and _is_error(chunk)):
            raise failures.from_error_event(chunk)
        if usage := chunk.get("usage"):
            self._set_usage(usage)
        if type(choices) is not list or not choices or type(choices[0]) is not dict:
            return
        choice = choices[0]
        delta = choice.get("delta")
        if type(delta) is dict:
            text = delta.get("content")
            if not text or len(delta) > 1:
                self._parse_other_fields(delta)
            if text:
                self._add_text(Delta, text)
        if reason := choice.get("finish_reason"):
            self._set_finish_reason(reason, choice)

    def _parse_other_fields(self, delta: dict[str, Any]) -> None:
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            self._add_text(Reasoning, reasoning)
        if refusal := delta.get("refusal"):
            self._has_refusal = True
            self._add_text(Delta, refusal)

    def _set_finish_reason(self, reason: object, choice: dict[str, Any]) -> None:
        if reason == "error":
            raise errors.ProviderInterrupted
        self.finish_reason = _FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
        if usage := choice.get("usage"):
            self._set_usage(usage)

    def _add_text(self, kind: TextEvent, text: object) -> None:
        if type(text) is not str:
            return
        if kind in self._surrogates or not text.isascii():
            text = self._join_surrogates(kind, text)
        if not text:
            return
        if self._texts and self._texts[-1][0] is kind:
            self._texts[-1][1].append(text)
        else:
            self._texts.append((kind, [text]))

    def _join_surrogates(self, kind: TextEvent, text: str) -> str:
        """Some servers split a surrogate pair between two chunks: keep a first half until the next chunk."""
        first_half = self._surrogates.pop(kind, "")
        if first_half and not text:
            return "\N{REPLACEMENT CHARACTER}"
        text = first_half + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._surrogates[kind], text = text[-1], text[:-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def _set_usage(self, usage: object) -> None:
        """Replace an earlier count: servers send it once, with every chunk, or twice."""
        if type(usage) is not dict:
            return
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (type(prompt) is int and type(completion) is int and prompt > 0 and completion >= 0):
            return
        self._usage = Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=_detail(usage.get("prompt_tokens_details"), "cached_tokens", prompt),
            reasoning_tokens=_detail(usage.get("completion_tokens_details"), "reasoning_tokens", completion),
        )


def _detail(details: object, name: str, maximum: int) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if type(value) is int and 0 <= value <= maximum else 0


def _is_error(chunk: dict[str, Any]) -> bool:
    return chunk.get("object") == "error" or "detail" in chunk


def _loads_leniently(payload: bytes) -> Any:
    """Parse JSON that may hold invalid UTF-8 or unpaired surrogates. Return None where it is not JSON."""
    try:
        return json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
