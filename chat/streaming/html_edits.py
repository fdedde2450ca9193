"""The smallest changes from an element's markup to the markup of the same element with more text.

A growing text changes at its end: in the last child of the last child … of the element. These are addressed by their
depth; 0 is the element itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_CLOSING_TAG = re.compile(r"</[a-z0-9]+>")
_TAG = re.compile(r"""<(/?)([a-z0-9]+)(?:[^>"]|"[^"]*")*>""")
_VOID = frozenset({"br", "hr"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    depth: int
    swap: Literal["append", "outerMorph"]
    markup: str


def edits(old: str, new: str) -> list[Edit]:
    """The edits, to be applied in order, deepest first. Both texts must be one well-formed element."""
    end, closed = _end_of_words(old)
    if closed and new.startswith(old[:end]):
        return _appends(new, end, closed - 1)
    starts = _starts_of_last_children(old)
    depth = max(
        index for index, start in enumerate(starts) if new.startswith(old[:start]) and new[start : start + 2] != "</"
    )
    start = starts[depth]
    if not (first := _TAG.match(new, start)):
        return [Edit(depth=0, swap="outerMorph", markup=new)]
    end = first.end() if first[2] in _VOID else new.index(">", end_of_content(new, first.end())) + 1
    return [Edit(depth=depth, swap="outerMorph", markup=new[start:end]), *_appends(new, end, depth - 1)]


def _end_of_words(markup: str) -> tuple[int, int]:
    """Where the closing tags at the end begin, and how many there are. Searched from the end, which is near."""
    end, closed = len(markup), 0
    while (start := markup.rfind("</", 0, end)) >= 0 and _CLOSING_TAG.fullmatch(markup, start, end):
        end, closed = start, closed + 1
    return end, closed


def _appends(new: str, position: int, depth: int) -> list[Edit]:
    """The edits that append what `new` has after `position`, where the elements down to `depth` are open."""
    found = []
    while depth >= 0:
        end = end_of_content(new, position)
        if end > position:
            found.append(Edit(depth=depth, swap="append", markup=new[position:end]))
        position = new.index(">", end) + 1
        depth -= 1
    return found


def end_of_content(markup: str, position: int) -> int:
    """The position of the closing tag of the element that is open at `position`."""
    depth = 0
    for tag in _TAG.finditer(markup, position):
        if tag[1]:
            if depth == 0:
                return tag.start()
            depth -= 1
        elif tag[2] not in _VOID:
            depth += 1
    return len(markup)


def _starts_of_last_children(markup: str) -> list[int]:
    """Where the element, its last child, and so on begin, as long as they end together."""
    opened: list[int] = []
    ending: list[tuple[int, int]] = []
    for tag in _TAG.finditer(markup):
        if tag[1]:
            ending.append((opened.pop(), tag.end()))
        elif tag[2] not in _VOID:
            opened.append(tag.start())
    starts = [0]
    position = len(markup)
    for start, end in reversed(ending):
        if end != position:
            break
        position -= len("</>") + len(_name_at(markup, start))
        if start:
            starts.append(start)
    return starts


def _name_at(markup: str, start: int) -> str:
    return match[2] if (match := _TAG.match(markup, start)) else ""
