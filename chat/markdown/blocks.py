"""Find the blocks of a growing text that are finished: later text cannot change them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from chat.markdown.parser import parse_with_ranges

_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})")


def finished_block_ends(source: str) -> list[int]:
    """The positions, in characters, where the finished top-level blocks of `source` end.

    Only complete lines are considered. The next line may belong to the last block; see `_is_finished` for the
    blocks to which it cannot belong.
    """
    lines = source[: source.rfind("\n") + 1]
    data = lines.encode()
    blocks = _top_level_blocks(lines)
    if not blocks:
        return []
    neighbours = ((block.end, following.start) for block, following in pairwise(blocks))
    ends = {line_end for end, next_start in neighbours if (line_end := _block_line_end(data, end)) <= next_start}
    if _is_finished(blocks[-1], data):
        ends.add(_block_line_end(data, blocks[-1].end))
    return [len(data[:end].decode()) for end in sorted(ends - {0})]


class _Block(NamedTuple):
    """A block of the parser and its range in bytes."""

    kind: str
    start: int
    end: int


def _top_level_blocks(source: str) -> list[_Block]:
    """The blocks that are not inside another block."""
    blocks = []
    depth = start = 0
    for event, span in parse_with_ranges(source):
        if isinstance(event, str):
            if depth == 0:
                blocks.append(_Block(event, span["start"], span["end"]))
        elif "Start" in event:
            start = span["start"] if depth == 0 else start
            depth += 1
        elif "End" in event:
            depth -= 1
            if depth == 0:
                tag = event["End"]
                blocks.append(_Block(tag if isinstance(tag, str) else next(iter(tag)), start, span["end"]))
    return blocks


def _is_finished(block: _Block, data: bytes) -> bool:
    """Whether no later line can belong to this block, the last one of `data`.

    Headings and rules end with their line, a paragraph with a blank line, fenced code with its closing fence.
    """
    if block.kind == "Paragraph":
        following = data[_block_line_end(data, block.end) :]
        return b"\n" in following and not following.strip(b" \t\n")
    return block.kind in ("Heading", "Rule") or _is_closed_fence(data[block.start : block.end])


def _block_line_end(data: bytes, end: int) -> int:
    """The end of the last line of a block whose range ends at `end`.

    The range of a list may end inside the indentation of the next line: that line is not part of the list.
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
