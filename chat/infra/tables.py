"""Print rows as a table for people, or as JSON or CSV for programs."""

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


def write_rows(out: Writable, output_format: str, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write the columns of each row in one of `FORMATS`.

    Each row has all columns. A table shows None as an empty cell; JSON is one array.
    """
    if output_format == "json":
        selected = [{name: row[name] for name in columns} for row in rows]
        out.write(json.dumps(selected, ensure_ascii=False, indent=1, default=str) + "\n")
    elif output_format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([csv_cell(row[name]) for name in columns] for row in rows)
    else:
        _write_table(out, [[row[name] for name in columns] for row in rows], columns)


def csv_cell(value: Any) -> Any:
    """The value; text that a spreadsheet would run as a formula gets an apostrophe in front.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _write_table(out: Writable, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
    numeric = [all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    head = [_printable(name.replace("_", " ")) for name in columns]
    lines = [head, *([_cell_text(value) for value in row] for row in rows)]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = (_pad(cell, width, right) for cell, width, right in zip(line, widths, numeric, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None) and not isinstance(value, bool)


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) else _printable(str(value))


def _printable(text: str) -> str:
    """Replace control characters: text that people typed could change the terminal."""
    return "".join(char if unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
