"""The dashboard and its CSV say what the ledger rows say."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chat.infra import formatting
from chat.models import User
from tests.admin.sample import LABELS, Row, last_days, sums

pytestmark = pytest.mark.django_db

DASHBOARD = "/admin/chat/usagerecord/dashboard/"


def csv_lines(client: Client, query: str, by: str) -> dict[str, dict[str, str]]:
    """The lines of the CSV by their label."""
    text = client.get(f"{DASHBOARD}?{query}&by={by}&format=csv").content.decode()
    return {line[by].removeprefix("'"): line for line in csv.DictReader(io.StringIO(text))}


def test_the_page_has_its_address() -> None:
    assert reverse("admin:chat_dashboard") == DASHBOARD


@pytest.mark.parametrize("by", LABELS)
def test_every_line_of_the_csv_is_the_sum_of_its_rows(by: str, boss: Client, rows: list[Row]) -> None:
    own_range = (last_days(40)[0], last_days(9)[0])
    for query, (first, last) in (
        ("days=1", last_days(1)),
        ("days=7", last_days(7)),
        ("days=90", last_days(90)),
        (f"since={own_range[0]}&until={own_range[1]}", own_range),
    ):
        expected: dict[str, list[Row]] = {}
        for row in rows:
            if first <= row["day"] <= last:
                for label in LABELS[by](row):
                    expected.setdefault(label, []).append(row)
        lines = csv_lines(boss, query, by)
        assert {label: {name: line[name] for name in sums([])} for label, line in lines.items()} == {
            label: sums(found) for label, found in expected.items()
        }, query


@pytest.mark.parametrize("days", [7, 30, 90])
def test_users_see_of_themselves_what_the_admin_sees(days: int, boss: Client, rows: list[Row]) -> None:
    lines = csv_lines(boss, f"days={days}", "user")
    users = [user for user in User.objects.exclude(username="boss") if user.get_username() in lines]
    assert users
    for user in users:
        line, client = lines[user.get_username()], Client()
        client.force_login(user)
        total = client.get(reverse("usage"), {"days": days}).context["total"]
        assert f"{total.cost / 1_000_000:.6f}" == line["cost_usd"]
        names = ("requests", "prompt_tokens", "completion_tokens", "failed", "stopped", "unpriced")
        assert {name: str(getattr(total, name)) for name in names} == {name: line[name] for name in names}


def test_the_tiles_show_the_sums_of_all_rows(boss: Client, rows: list[Row]) -> None:
    tiles = {tile.label: tile.value for tile in boss.get(f"{DASHBOARD}?days=30").context["tiles"]}
    chosen = [row for row in rows if row["day"] >= last_days(30)[0]]
    failed = sum(row["status"] in ("failed", "interrupted") for row in chosen)
    assert tiles["Spend"] == f"${sum(row['cost'] or 0 for row in chosen) / 1e6:,.2f}"
    assert tiles["Answers"] == str(len(chosen))
    assert tiles["Errors"] == formatting.percent(failed / len(chosen))
    assert tiles["People"] == "5"


def test_the_last_line_of_the_table_is_the_total(boss: Client, rows: list[Row]) -> None:
    total = boss.get(f"{DASHBOARD}?days=30").context["total"]
    expected = sums(row for row in rows if row["day"] >= last_days(30)[0])
    assert (total.requests, total.failed) == (expected["requests"], expected["failed"])


@pytest.mark.parametrize("by", LABELS)
def test_a_line_links_to_the_ledger_rows_it_adds_up(by: str, boss: Client, rows: list[Row]) -> None:
    for line in boss.get(f"{DASHBOARD}?days=30&by={by}").context["rows"]:
        ledger = boss.get(line.url).context["cl"].paginator.formatted_sums()
        assert (ledger["rows"], ledger["cost"]) == (line.requests, line.cost), line.label


@pytest.mark.parametrize("by", LABELS)
def test_the_number_of_errors_links_to_their_ledger_rows(by: str, boss: Client, rows: list[Row]) -> None:
    lines = [line for line in boss.get(f"{DASHBOARD}?days=30&by={by}").context["rows"] if line.failed_url]
    assert lines
    for line in lines:
        assert boss.get(line.failed_url).context["cl"].paginator.formatted_sums()["rows"] == line.failed, line.label


def test_the_charts_show_every_day(boss: Client, rows: list[Row]) -> None:
    _spend, answers, *_others = boss.get(f"{DASHBOARD}?days=30").context["charts"]
    assert len(answers.columns) == 30
    for number, column in enumerate(answers.columns):
        found = [row for row in rows if row["day"] == last_days(30)[0] + dt.timedelta(days=number)]
        stopped = sum(row["status"] == "stopped" for row in found)
        failed = sum(row["status"] in ("failed", "interrupted") for row in found)
        answered = len(found) - stopped - failed
        assert f"answered {answered}, stopped {stopped}, failed {failed}, refused by a limit 0" in column.title


@pytest.mark.parametrize("days", [1, 7])
def test_the_charts_show_at_least_two_weeks(days: int, boss: Client, rows: list[Row]) -> None:
    charts = boss.get(f"{DASHBOARD}?days={days}&by=day").context["charts"]
    assert {len(chart.columns) for chart in charts} == {14}


@pytest.mark.parametrize("column", ["cost", "requests", "tokens", "failed"])
def test_a_column_sorts_both_ways(column: str, boss: Client, rows: list[Row]) -> None:
    def numbers(order: str) -> list[float]:
        rows = boss.get(f"{DASHBOARD}?days=90&by=day&order={order}").context["rows"]
        return [float(re.sub(r"[^0-9.]", "", getattr(row, column))) for row in rows]

    assert numbers(column) == sorted(numbers(column))
    assert numbers(f"-{column}") == sorted(numbers(column), reverse=True)


@pytest.mark.parametrize(("order", "reverse_order"), [("cost", "-cost"), ("-cost", "cost")])
def test_the_head_of_the_sorted_column_reverses_the_order(order: str, reverse_order: str, boss: Client) -> None:
    columns = boss.get(f"{DASHBOARD}?order={order}").context["columns"]
    (column,) = [column for column in columns if column.sorted != "none"]
    assert column.url.endswith(f"order={reverse_order}")
    assert column.sorted == ("descending" if order.startswith("-") else "ascending")


def test_labels_sort_too(boss: Client, rows: list[Row]) -> None:
    names = [row.label for row in boss.get(f"{DASHBOARD}?days=90&by=user&order=-label").context["rows"]]
    assert names == sorted(names, reverse=True)


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("", 30),
        ("days=7", 7),
        ("days=8", 30),
        ("days=x&by=nonsense&order=password", 30),
        ("since=2026-01-31&until=2026-01-01", 30),
        ("since=yesterday", 30),
        ("since=0001-01-01&until=9999-12-31", 30),
        ("since=2026-01-01&until=2026-01-31", 31),
    ],
)
def test_an_invalid_query_is_replaced_and_an_invalid_range_is_explained(query: str, days: int, boss: Client) -> None:
    response = boss.get(f"{DASHBOARD}?{query}")
    assert response.status_code == 200
    assert response.context["query"].date_range.length == days
    assert bool(list(response.context["messages"])) == ("since" in query and days == 30)


def test_the_page_does_not_reload_by_itself(boss: Client) -> None:
    assert "Refresh" not in boss.get(DASHBOARD).headers


def test_the_page_reloads_every_minute_if_asked(boss: Client) -> None:
    response: Any = boss.get(DASHBOARD + "?days=1&every=60")
    assert response.headers["Refresh"] == "60"
