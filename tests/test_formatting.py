"""Amounts, counts and durations as pages show them."""

from __future__ import annotations

import datetime as dt

import pytest

from chat.infra import formatting


@pytest.mark.parametrize(
    ("micro_dollars", "text"),
    [
        (0, "$0.00"),
        (0.5, "$0.000001"),
        (1, "$0.000001"),
        (7, "$0.000007"),
        (123, "$0.0001"),
        (1_200, "$0.0012"),
        (9_949, "$0.0099"),
        (270_000, "$0.27"),
        (273_400, "$0.2734"),
        (500_000, "$0.50"),
        (1_234_567_890, "$1,234.57"),
        (12_345_678_901, "$12,345.68"),
    ],
)
def test_small_amounts_have_more_decimals(micro_dollars: float, text: str) -> None:
    assert formatting.dollars(micro_dollars) == text


def test_exact_dollars_have_six_decimals() -> None:
    assert formatting.exact_dollars(1_500_000) == "1.500000"


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1234567, "1,234,567"), (0.5, "0.5"), (2.0, "2")])
def test_a_number_has_thousands_separators(value: float, text: str) -> None:
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(9_999, "9,999"), (12_300, "12.3 k"), (123_456, "123 k"), (4_500_000, "4.5 M"), (2e9, "2 G")]
)
def test_a_large_number_is_shortened(value: float, text: str) -> None:
    assert formatting.short_number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.0001, "< 0.1 %"), (0.05, "5.0 %"), (0.25, "25 %"), (1, "100 %")]
)
def test_a_share_is_a_percentage(share: float, text: str) -> None:
    assert formatting.percent(share) == text


@pytest.mark.parametrize(("milliseconds", "text"), [(None, "–"), (0, "0 ms"), (999, "999 ms"), (1500, "1.5 s")])
def test_a_response_time_is_in_milliseconds_or_seconds(milliseconds: float | None, text: str) -> None:
    assert formatting.response_time(milliseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.2, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (3_720, "1 h 2 min"), (259_200, "3 days")],
)
def test_a_duration_is_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_an_age_is_the_time_between_two_moments() -> None:
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert formatting.age(now - dt.timedelta(minutes=2), now) == "2 min 0 s"
