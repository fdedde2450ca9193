"""Half-written syntax at the end of a growing text: closed, or held back until it is whole.

Only what a viewer sees for a moment depends on this, never the finished text.
"""

from __future__ import annotations

import re
from typing import Final

_FENCE = re.compile(r"[ >]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})(.*)")
_BARE = re.compile(r"[\s>#*+=_~`|:!\\.-]*(?:\d{1,9}[.)]?)?[\s>#*+=_~`|:!\\-]*(?:\[[ xX]?\]?\s*)?[*_~`]*")
_BLOCK_START = re.compile(r"\s*(?:$|[>#|]|(?:[-*+]|\d{1,9}[.)])\s)")
_SPECIAL = re.compile(r"[\\`*_~!\[\]<]")
_TOKEN = re.compile(r"\\.|`+|\*{1,3}|_{1,3}|~~|!?\[|\]\(?|<(?=https?:|mailto:)")
_DESTINATION = re.compile(r"<?(?:[^()\s<>]|\([^()\s]*\))*>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_UNFINISHED = re.compile(r"<?[^\s<>]{0,2000}+>?(?:\s{1,50}+(?:[\"'].{0,200})?)?")
_LONGEST_DESTINATION: Final = 2300
_MARKS: Final = " \t>#*+=_~`|:-"
_LONGEST_MARKER: Final = 40
_LONGEST_LABEL: Final = 300
_MOST_OPEN: Final = 30


def mend(source: str) -> str:
    """`source` as it should be rendered now, given that more of it will come."""
    head, newline, last = source.rpartition("\n")
    head += newline
    if _in_fence(head):
        return head if not last.strip(" `~>") else source
    if _is_only_syntax(last) or last.lstrip().startswith("|"):
        last = ""
    source = _without_table_header(head) if not last else head + last
    start = _paragraph_start(source)
    return source[:start] + _Inline(source[start:]).mended()


def _is_only_syntax(line: str) -> bool:
    """Whether a line so far has nothing but what may become a marker, a rule or a fence."""
    if not line.strip(_MARKS) or _FENCE.fullmatch(line):
        return True
    return len(line) <= _LONGEST_MARKER and _BARE.fullmatch(line) is not None


def _in_fence(lines: str) -> bool:
    mark = ""
    for line in lines.splitlines() if "```" in lines or "~~~" in lines else ():
        if found := _FENCE.match(line):
            if not mark:
                mark = found[1]
            elif found[1].startswith(mark) and not found[2].strip():
                mark = ""
    return bool(mark)


def _without_table_header(source: str) -> str:
    """A header row turns from text into a table with the line below it: wait for that."""
    before, _, row = source.removesuffix("\n").rpartition("\n")
    is_first = not before.rpartition("\n")[2].lstrip().startswith("|")
    return source[: len(before) + bool(before)] if row.lstrip().startswith("|") and is_first else source


def _paragraph_start(source: str) -> int:
    """Where the lines begin whose inline syntax can still be open."""
    start = len(source.rstrip("\n"))
    while start > 0:
        start = source.rfind("\n", 0, start) + 1
        if start == 0 or _BLOCK_START.match(source[start : source.find("\n", start) + 1 or len(source)]):
            return start
        start -= 1
    return 0


class _Inline:
    """Scans a paragraph once for what is open at its end."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip("\n").removesuffix("\\")
        self._open: list[tuple[str, int]] = []
        self._removed: list[tuple[int, int]] = []

    def mended(self) -> str:
        position = 0
        while special := _SPECIAL.search(self._text, position):  # most text has none, and this finds that out quickly
            token = _TOKEN.match(self._text, special.start())
            position = self._take(token[0], token.start(), token.end()) if token else special.end()
            if len(self._open) > _MOST_OPEN:
                return self._text
        closing = self._close()
        text = self._text
        for start, end in sorted(self._removed, reverse=True):
            text = text[:start] + text[end:]
        return text.rstrip() + closing if closing else text

    def _take(self, mark: str, start: int, end: int) -> int:
        """Handles one token; returns where to go on."""
        if mark[0] == "`":
            return self._code_span(mark, start, end)
        if mark[0] in "*_~":
            self._emphasis(mark, start, end)
        elif mark[-1] == "[":
            self._open.append((mark, start))
        elif mark[0] == "]":
            return self._end_of_label(mark, start, end)
        elif mark == "<" and ">" not in self._text[end:]:
            self._removed.append((start, end))
        return end

    def _code_span(self, mark: str, start: int, end: int) -> int:
        if closing := re.compile(rf"(?<!`)`{{{len(mark)}}}(?!`)").search(self._text, end):
            return closing.end()
        if self._text[end:].strip(" `"):
            self._text = self._text.rstrip("`")
            self._open.append((mark, start))
        else:
            self._text = self._text[:start]
        return len(self._text)

    def _emphasis(self, mark: str, start: int, end: int) -> None:
        before, after = self._text[start - 1 : start], self._text[end : end + 1]
        opened = next((index for index in range(len(self._open) - 1, -1, -1) if self._open[index][0] == mark), None)
        if opened is not None and before.strip():
            del self._open[opened:]
        elif not after:
            self._text = self._text[:start]
        elif after.strip() and not (before.isalnum() and after.isalnum()):
            self._open.append((mark, start))

    def _end_of_label(self, mark: str, start: int, end: int) -> int:
        opened = next((index for index in range(len(self._open) - 1, -1, -1) if self._open[index][0][-1] == "["), None)
        if opened is None:
            return end
        bracket, at = self._open[opened]
        if mark == "](" and (destination := _DESTINATION.match(self._text, end)):
            del self._open[opened:]
            return destination.end()
        rest = len(self._text) - end
        if not rest or (mark == "](" and rest <= _LONGEST_DESTINATION and _UNFINISHED.fullmatch(self._text, end)):
            self._text = self._text[: at if bracket[0] == "!" else start]
            return len(self._text)
        del self._open[opened:]
        return end

    def _close(self) -> str:
        closing = ""
        for mark, start in reversed(self._open):
            inside = self._text[start + len(mark) :]
            if mark[-1] == "[":
                if len(inside) <= _LONGEST_LABEL:
                    self._removed.append((start, start + len(mark)))
            elif inside.strip():
                closing += mark
            else:
                self._text = self._text[:start]
        return closing
