"""Rows as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from chat.infra.tables import csv_cell, write_rows

ROWS = [{"who": "=1+1", "n": 1234567, "ok": True}, {"who": "漢字\x1b[31m", "n": None, "ok": False}]


def written(output_format: str) -> str:
    out = io.StringIO()
    write_rows(out, output_format, ROWS, ("who", "n", "ok"))
    return out.getvalue()


def test_a_table_aligns_its_columns_and_shows_no_control_characters() -> None:
    assert written("table").splitlines() == [
        "who                n  ok",
        "=1+1       1,234,567  yes",
        "漢字\N{REPLACEMENT CHARACTER}[31m             no",
    ]


def test_json_holds_the_values_as_they_are() -> None:
    assert json.loads(written("json")) == ROWS


def test_csv_quotes_formulas() -> None:
    assert list(csv.reader(io.StringIO(written("csv"))))[1:] == [
        ["'=1+1", "1234567", "True"],
        ["漢字\x1b[31m", "", "False"],
    ]


@pytest.mark.parametrize("first", list("=+-@\t\r"))
def test_a_csv_cell_is_never_a_formula(first: str) -> None:
    assert csv_cell(f"{first}cmd") == f"'{first}cmd"


def test_a_negative_number_stays_a_number() -> None:
    assert csv_cell(-5) == -5
