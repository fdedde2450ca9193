"""Where a block ends, decided so that later text cannot change it."""

from __future__ import annotations

import re
from itertools import pairwise

from chat.markdown.parser import parse_with_ranges

_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})")


def cuts(source: str) -> list[int]:
    """Character positions after each finished top-level block of `source`.

    Only complete lines count. The last block is never finished, since the next line
    may belong to it; a fenced block with its closing fence is the exception.
    """
    head = source[: source.rfind("\n") + 1]
    data = head.encode()
    spans = _top_level(head)
    if not spans:
        return []
    last_start, last_end = spans[-1]
    neighbours = ((end, following) for (_, end), (following, _) in pairwise(spans))
    edges = {edge for end, following in neighbours if (edge := _line_edge(data, end)) <= following}
    if _is_closed_fence(data[last_start:last_end]):
        edges.add(_line_edge(data, last_end))
    return [len(data[:edge].decode()) for edge in sorted(edges - {0})]


def _top_level(source: str) -> list[tuple[int, int]]:
    """Byte ranges of the blocks that lie in no other block."""
    spans = []
    depth = start = 0
    for event, span in parse_with_ranges(source):
        if isinstance(event, str):
            if depth == 0:
                spans.append((span["start"], span["end"]))
        elif "Start" in event:
            start = span["start"] if depth == 0 else start
            depth += 1
        elif "End" in event:
            depth -= 1
            if depth == 0:
                spans.append((start, span["end"]))
    return spans


def _line_edge(data: bytes, end: int) -> int:
    """The end of the line if there is text before `end`, else its start.

    A list's range may end within the indentation of the line that follows.
    """
    start = data.rfind(b"\n", 0, end) + 1
    if not data[start:end].strip():
        return start
    return data.find(b"\n", end) + 1 or len(data)


def _is_closed_fence(block: bytes) -> bool:
    opening = _FENCE.match(block)
    if not opening:
        return False
    _, newline, last = block.rpartition(b"\n")
    mark = opening[1]
    return bool(newline) and re.fullmatch(rb" {0,3}" + mark[:1] + rb"{%d,} *" % len(mark), last) is not None
