"""Rows as a table for people, or as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

FORMATS = ("table", "json", "csv")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
Row = Mapping[str, Any]


class Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


def write_rows(out: Writable, form: str, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Each row has all columns. Tables show nothing for None; JSON is one array."""
    if form == "json":
        chosen = [{name: row[name] for name in columns} for row in rows]
        out.write(json.dumps(chosen, ensure_ascii=False, indent=1, default=str) + "\n")
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([csv_cell(row[name]) for name in columns] for row in rows)
    else:
        _write_table(out, [[row[name] for name in columns] for row in rows], columns)


def csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula begins with an apostrophe; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _write_table(out: Writable, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
    numeric = [all(_is_number(row[at]) for row in rows) for at in range(len(columns))]
    lines = [[_plain(name.replace("_", " ")) for name in columns], *([_shown(value) for value in row] for row in rows)]
    widths = [max(_width(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        cells = (_pad(cell, width, right) for cell, width, right in zip(line, widths, numeric, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) else _plain(str(value))


def _plain(text: str) -> str:
    """What people typed must not steer the terminal."""
    return "".join(letter if unicodedata.category(letter)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _width(text: str) -> int:
    """Columns on a terminal: wide letters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
