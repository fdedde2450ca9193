"""Text that both databases can store and every encoder can carry."""

from __future__ import annotations

import re

_LINE_ENDS = re.compile("\r\n?")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """NUL and lone surrogates become U+FFFD; line ends become LF."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", _LINE_ENDS.sub("\n", text))


def clean_model_text(text: str) -> str:
    """As `clean_text`, but line ends stay as the model sent them."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def title_from(text: str, limit: int = 80) -> str:
    """The first non-blank line, shortened at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if len(line) <= limit:
        return line
    head = line[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head).rstrip() + "…"


def estimate_tokens(text: str) -> int:
    """About four characters a token in English, about one in CJK; rounded up.

    UTF-8 bytes over four sits between the two without a tokenizer file.
    """
    return -(-len(text.encode("utf-8", "replace")) // 4)
