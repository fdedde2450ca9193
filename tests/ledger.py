"""A provider that reports random usage, and the records that the site keeps of it."""

from __future__ import annotations

import random
from typing import Any

from tests.fakes import DONE, Hang, Script, chunk, close_after, error, reset, stream, text, usage_chunk

READ_LEDGER = """
import json
from chat.models import Message, UsageRecord
counts = "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"
names = "message_id", "status", "exact", *counts, "cost"
rows = [[str(value) if name == "message_id" else value for name, value in zip(names, row)]
        for row in UsageRecord.objects.values_list(*names)]
answers = [str(pk) for pk in Message.objects.filter(role="assistant").values_list("pk", flat=True)]
print(json.dumps([rows, answers, Message.objects.running().count()]))
"""
"""Prints the usage records, the ids of all answers and the number of running answers, as JSON."""

STATUSES_BY_KIND = {
    "fine": {"complete"},
    "long": {"truncated"},
    "filtered": {"filtered"},
    "empty": {"failed"},
    "uncounted": {"complete"},
    "busy": {"failed"},
    "broken": {"failed"},
    "cut": {"interrupted"},
    "refused": {"failed"},
}
"""Each kind of answer that `LedgerProvider` gives, and the statuses it may end with."""


class LedgerProvider:
    """Succeeds or fails as the question says, and remembers the usage it reported."""

    def __init__(self) -> None:
        self.random = random.Random(8)
        self.reported: list[tuple[str, int, int, int, int]] = []

    def __call__(self, request: dict[str, Any]) -> Script:
        body = request["json"]
        kind = body["messages"][-1]["content"].split()[0]
        return getattr(self, f"_{kind}")(body["model"])

    def _usage(self, model: str) -> bytes:
        prompt = self.random.randrange(1, 5000)
        cached, completion = self.random.randrange(0, prompt + 1), self.random.randrange(1, 900)
        thought = self.random.randrange(0, completion + 1)
        self.reported.append((model, prompt, cached, completion, thought))
        return usage_chunk(
            prompt,
            completion,
            prompt_tokens_details={"cached_tokens": cached},
            completion_tokens_details={"reasoning_tokens": thought},
        )

    def _fine(self, model: str) -> Script:
        return stream("Good ", "day.", chunk(finish="stop"), self._usage(model), DONE)

    def _long(self, model: str) -> Script:
        return stream(chunk(reasoning_content="Hm."), "Well", chunk(finish="length"), self._usage(model), DONE)

    def _filtered(self, model: str) -> Script:
        return stream("Well", chunk(finish="content_filter"), self._usage(model), DONE)

    def _empty(self, model: str) -> Script:
        return stream(chunk(finish="stop"), self._usage(model), DONE)

    def _uncounted(self, model: str) -> Script:
        return text("Four", " words", usage=None)

    def _busy(self, model: str) -> Script:
        return error(429)

    def _broken(self, model: str) -> Script:
        return error(500)

    def _cut(self, model: str) -> Script:
        return close_after("Some", " words")

    def _refused(self, model: str) -> Script:
        return reset()

    def _endless(self, model: str) -> Script:
        return stream("Some", " words", Hang())
