"""Half-written syntax at the end of a growing text, closed or held back until it is whole."""

from __future__ import annotations


def mend(source: str) -> str:
    return source
