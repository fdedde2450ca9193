"""Answers in pieces that are difficult to encode."""

from __future__ import annotations

import os
import random

TEXTS = 200 if os.environ.get("SOAK") == "1" else 12
SPECIAL_PIECES = [
    "Hello",
    " world",
    "[DONE]",
    "data: x",
    "\n",
    "\r\n",
    "\r",
    "  ",
    "😀",
    "é",
    "漢字",
    "\ufeff",
    "\u2028",
    "0:",
    '"',
    "\\n",
    ":",
    "event: error",
    "{}",
    "<b>",
    "null",
    "\t",
    "id: 3",
    "\x00",
    "\x85",
    "a b c ",
]


def texts() -> list[list[str]]:
    """The pieces of each answer, the same in every run."""
    chance = random.Random(7)
    return [["hi"], *[chance.choices(SPECIAL_PIECES, k=chance.randint(1, 20)) for _ in range(TEXTS)]]
