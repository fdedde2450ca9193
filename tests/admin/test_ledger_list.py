"""The list of ledger rows: filters, sums, pages, search and download."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chat.admin.ledger.admin import UsageRecordAdmin
from chat.infra import formatting
from chat.models import UsageRecord
from tests.admin.sample import ROWS, Row, sums

pytestmark = pytest.mark.django_db

LEDGER = "/admin/chat/usagerecord/"


@pytest.mark.parametrize(
    ("query", "is_listed"),
    [
        ("", lambda row: True),
        ("model=gpt-4o", lambda row: row["model"] == "gpt-4o"),
        ("ended=broken", lambda row: row["status"] in ("failed", "interrupted")),
        ("ended=stopped", lambda row: row["status"] == "stopped"),
        ("q=BEN", lambda row: row["user"] == "@ben"),
        ("q=nobody", lambda row: False),
        ("person=none", lambda row: not row["user"]),
        ("person=999", lambda row: False),
    ],
)
def test_the_sums_are_those_of_the_listed_rows(
    query: str, is_listed: Callable[[Row], bool], boss: Client, rows: list[Row]
) -> None:
    response = boss.get(f"{LEDGER}?{query}")
    text = re.sub(r"<[^>]+>", " ", html.unescape(response.content.decode()))
    listed = [row for row in rows if is_listed(row)]
    expected = sums(listed)
    assert response.context["cl"].paginator.formatted_sums()["rows"] == expected["requests"]
    assert formatting.number(float(expected["prompt_tokens"])) in text
    assert formatting.dollars(sum(row["cost"] or 0 for row in listed)) in text


def records_of_all_pages(client: Client, order: str = "") -> list[UsageRecord]:
    return [
        record for page in range(1, 5) for record in client.get(f"{LEDGER}?p={page}{order}").context["cl"].result_list
    ]


@pytest.mark.parametrize("order", ["", "&o=-7", "&o=7"], ids=["time", "most expensive", "cheapest"])
def test_the_pages_hold_every_row_once(order: str, boss: Client, rows: list[Row]) -> None:
    records = records_of_all_pages(boss, order)
    assert len({record.pk for record in records}) == len(records) == len(rows)


def test_the_newest_row_is_first(boss: Client, rows: list[Row]) -> None:
    records = records_of_all_pages(boss)
    assert records == sorted(records, key=lambda record: record.created_at, reverse=True)


@pytest.mark.parametrize(("order", "is_descending"), [("&o=-7", True), ("&o=7", False)])
def test_rows_sort_by_cost(order: str, is_descending: bool, boss: Client, rows: list[Row]) -> None:
    known = [record.cost for record in records_of_all_pages(boss, order) if record.cost is not None]
    assert known == sorted(known, reverse=is_descending)


def test_a_row_is_found_by_the_id_of_its_message_or_conversation(boss: Client, rows: list[Row]) -> None:
    record = UsageRecord.objects.order_by("?")[0]
    for found in (record.message_id, record.conversation_id, record.message_id.hex):
        response = boss.get(f"{LEDGER}?q={found}")
        assert [row.pk for row in response.context["cl"].result_list] == [record.pk]


def test_selected_rows_are_downloaded(boss: Client, rows: list[Row]) -> None:
    records = list(UsageRecord.objects.filter(user__username="@ben").order_by("-created_at", "-pk"))
    response = boss.post(LEDGER, {"action": "as_csv", "_selected_action": [record.pk for record in records]})
    lines = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [line["message_id"] for line in lines] == [str(record.message_id) for record in records]
    assert {line["username"] for line in lines} == {"'@ben"}
    costs = ["" if record.cost is None else f"{record.cost / 1e6:.6f}" for record in records]
    assert [line["cost_usd"] for line in lines] == costs


def download_all(boss: Client) -> Any:
    first = UsageRecord.objects.all()[0]
    data = {"action": "as_csv", "_selected_action": [first.pk], "select_across": "1"}
    return boss.post(LEDGER, data, follow=True)


def test_the_largest_allowed_download(boss: Client, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UsageRecordAdmin, "max_csv_rows", ROWS)
    assert len(download_all(boss).content.splitlines()) == ROWS + 1


def test_a_larger_download_is_refused_with_a_sentence(
    boss: Client, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UsageRecordAdmin, "max_csv_rows", ROWS - 1)
    assert "use filters to select fewer" in download_all(boss).content.decode()
