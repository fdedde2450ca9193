"""Incomplete syntax at the end of a growing text: it is closed, or left out until it is complete.

This changes only how an unfinished text looks. The finished text is rendered as it is.
"""

from __future__ import annotations

import re
from typing import Final

_FENCE = re.compile(r"[ >]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})(.*)")
_MARKER_LINE = re.compile(r"[\s>#*+=_~`|:!\\.-]*(?:\d{1,9}[.)]?)?[\s>#*+=_~`|:!\\-]*(?:\[[ xX]?\]?\s*)?[*_~`]*")
_BLOCK_START = re.compile(r"\s*(?:$|[>#|]|(?:[-*+]|\d{1,9}[.)])\s)")
_SPECIAL = re.compile(r"[\\`*_~!\[\]<]")
_TOKEN = re.compile(r"\\.|`+|\*{1,3}|_{1,3}|~~|!?\[|\]\(?|<(?=https?:|mailto:)")
_DESTINATION = re.compile(r"<?(?:[^()\s<>]|\([^()\s]*\))*>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_INCOMPLETE_DESTINATION = re.compile(r"<?[^\s<>]{0,2000}+>?(?:\s{1,50}+(?:[\"'].{0,200})?)?")
_MAX_DESTINATION_CHARS: Final = 2300
_MARKER_CHARS: Final = " \t>#*+=_~`|:-"
_MAX_MARKER_CHARS: Final = 40
_MAX_LABEL_CHARS: Final = 300
_MAX_OPEN: Final = 30


def complete_syntax(source: str) -> str:
    """The source to render now, while more text will follow: ends with complete syntax."""
    lines, newline, last = source.rpartition("\n")
    lines += newline
    if _is_in_fence(lines):
        return lines if not last.strip(" `~>") else source
    if _may_be_marker(last) or last.lstrip().startswith("|"):
        last = ""
    source = _without_table_header(lines) if not last else lines + last
    start = _paragraph_start(source)
    return source[:start] + _InlineSyntax(source[start:]).completed()


def _may_be_marker(line: str) -> bool:
    """Whether the line so far may become a list marker, a heading marker, a rule or a fence."""
    if not line.strip(_MARKER_CHARS) or _FENCE.fullmatch(line):
        return True
    return len(line) <= _MAX_MARKER_CHARS and _MARKER_LINE.fullmatch(line) is not None


def _is_in_fence(lines: str) -> bool:
    """Whether a fenced code block is open at the end."""
    if "```" not in lines and "~~~" not in lines:
        return False
    fence = ""
    for line in lines.splitlines():
        if match := _FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence) and not match[2].strip():
                fence = ""
    return bool(fence)


def _without_table_header(source: str) -> str:
    """Leave out a table's first row at the end: it is text until the line below it makes it a table."""
    before, _, row = source.removesuffix("\n").rpartition("\n")
    is_first = not before.rpartition("\n")[2].lstrip().startswith("|")
    return source[: len(before) + bool(before)] if row.lstrip().startswith("|") and is_first else source


def _paragraph_start(source: str) -> int:
    """The start of the last lines in which inline syntax can be open."""
    start = len(source.rstrip("\n"))
    while start > 0:
        start = source.rfind("\n", 0, start) + 1
        if start == 0 or _BLOCK_START.match(source[start : source.find("\n", start) + 1 or len(source)]):
            return start
        start -= 1
    return 0


class _InlineSyntax:
    """Scans a paragraph once for inline syntax that is open at its end."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip("\n").removesuffix("\\")
        self._open: list[tuple[str, int]] = []
        """Marks without their closing mark, and their positions."""
        self._removed: list[tuple[int, int]] = []
        """Ranges of the text that are not shown."""

    def completed(self) -> str:
        """The paragraph with closing marks at its end, or unchanged if too much is open."""
        position = 0
        while special := _SPECIAL.search(self._text, position):  # a fast search: most text has no special character
            token = _TOKEN.match(self._text, special.start())
            position = self._handle(token[0], token.start(), token.end()) if token else special.end()
            if len(self._open) > _MAX_OPEN:
                return self._text
        closing = self._close()
        text = self._text
        for start, end in sorted(self._removed, reverse=True):
            text = text[:start] + text[end:]
        return text.rstrip() + closing if closing else text

    def _handle(self, mark: str, start: int, end: int) -> int:
        """Handle one token. Returns the position of the next one."""
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
        if not rest or (
            mark == "](" and rest <= _MAX_DESTINATION_CHARS and _INCOMPLETE_DESTINATION.fullmatch(self._text, end)
        ):
            self._text = self._text[: at if bracket[0] == "!" else start]
            return len(self._text)
        del self._open[opened:]
        return end

    def _close(self) -> str:
        closing = ""
        for mark, start in reversed(self._open):
            inside = self._text[start + len(mark) :]
            if mark[-1] == "[":
                if len(inside) <= _MAX_LABEL_CHARS:
                    self._removed.append((start, start + len(mark)))
            elif inside.strip():
                closing += mark
            else:
                self._text = self._text[:start]
        return closing
