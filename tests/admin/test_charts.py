"""The geometry of charts, and CSV that a spreadsheet does not run."""

from __future__ import annotations

import csv
import io

import pytest

from chat.admin.csv_export import csv_response
from chat.admin.dashboard.charts import Chart, Series, axis_top, bar_chart, line_chart
from chat.infra import formatting


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_never_runs_a_cell(first: str) -> None:
    response = csv_response("name", ["head"], [[first + "1+1", -5, "plain", None]])
    lines = list(csv.reader(io.StringIO(response.content.decode(), newline="")))
    assert lines[1] == [f"'{first}1+1", "-5", "plain", ""]


@pytest.fixture
def bars() -> Chart:
    """Two days of two measures, the second not measured on the second day."""
    series = [Series(kind="a", label="good", values=[3, 0]), Series(kind="bad", label="bad", values=[1, None])]
    return bar_chart("Title", ["Mon", "Tue"], series, formatting.number)


def test_the_axes_are_labelled(bars: Chart) -> None:
    assert (bars.top, bars.middle, bars.first, bars.last) == ("4", "2", "Mon", "Tue")


def test_bars_are_stacked_to_scale(bars: Chart) -> None:
    (lower, upper), second_day = (column.bars for column in bars.columns)
    assert (lower.y, lower.height) == ("25", "75")
    assert (upper.y, upper.height) == ("0", "25")
    assert second_day == []


def test_a_tooltip_names_every_measure(bars: Chart) -> None:
    assert bars.columns[1].title == "Tue: good 0, bad –"


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    series = Series(kind="a", label="x", values=[10, 20, None, 20])
    chart = line_chart("Title", list("abcd"), [series], formatting.number)
    assert [line.points for line in chart.lines] == ["5,50 15,0", "35,0 35,0"]


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (3, 4), (0.03, 0.04), (81, 100), (1_000_001, 2_000_000)])
def test_half_of_the_top_of_an_axis_is_a_round_number_too(value: float, top: float) -> None:
    assert axis_top(value) == pytest.approx(top)
