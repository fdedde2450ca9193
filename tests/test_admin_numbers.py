"""The dashboard, its CSV and the ledger say what the rows say."""

from __future__ import annotations

import csv
import datetime as dt
import html
import io
import random
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.admin import charts, ledger, sheets, words
from chat.admin.charts import Series
from chat.models import ChatModel, DailyUsage, UsageRecord, User, site_day

pytestmark = pytest.mark.django_db

DASHBOARD = "/admin/chat/usagerecord/dashboard/"
LEDGER = "/admin/chat/usagerecord/"
MODELS = ("gpt-4o", "gpt-4o-mini", "left=the catalogue")
ROWS = 160
STATUSES = ("complete", "complete", "complete", "truncated", "stopped", "failed", "interrupted")
Row = dict[str, Any]


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def rows() -> list[Row]:
    """Some weeks of six people, one of them without a group, one in two, one removed."""
    rng = random.Random(11)
    groups = [Group.objects.create(name=name) for name in ("=red", "blue & white")]
    people = [User.objects.create_user(name) for name in ("ann", "@ben", "cleo", "dirk", "eve")]
    for person, numbers in zip(people, ((0,), (0,), (1,), (0, 1), ()), strict=True):
        person.groups.set([groups[number] for number in numbers])
    now = timezone.now()
    rows = []
    for _ in range(ROWS):
        person, status = rng.choice([*people, None]), rng.choice(STATUSES)
        moment = now - dt.timedelta(hours=rng.randrange(24 * 60))
        row: Row = {
            "person": person.username if person else "",
            "groups": [group.name for group in person.groups.all()] if person else [],
            "model": rng.choice(MODELS),
            "day": site_day(moment),
            "status": status,
            "prompt": rng.randrange(1, 3000),
            "completion": 0 if status == "failed" else rng.randrange(1, 900),
            "cost": rng.choice((None, 0, rng.randrange(1, 9_000_000))),
        }
        rows.append(row)
        record = UsageRecord(
            user=person,
            message_id=uuid.uuid4(),
            conversation_id=uuid.uuid4(),
            model=row["model"],
            status=status,
            prompt_tokens=row["prompt"],
            completion_tokens=row["completion"],
            cost=row["cost"],
            first_token_ms=None if status == "failed" else rng.randrange(50, 9000),
            created_at=moment,
            day=row["day"],
        )
        UsageRecord.objects.bulk_create([record])
        DailyUsage.objects.add_record(record)
    return rows


def summed(rows: Iterable[Row]) -> dict[str, str]:
    """As the CSV writes it."""
    rows = list(rows)
    return {
        "cost_usd": f"{sum(row['cost'] or 0 for row in rows) / 1_000_000:.6f}",
        "requests": str(len(rows)),
        "people": str(len({row["person"] for row in rows if row["person"]})),
        "prompt_tokens": str(sum(row["prompt"] for row in rows)),
        "completion_tokens": str(sum(row["completion"] for row in rows)),
        "failed": str(sum(row["status"] in ("failed", "interrupted") for row in rows)),
        "stopped": str(sum(row["status"] == "stopped" for row in rows)),
        "unpriced": str(sum(row["cost"] is None for row in rows)),
    }


def span_of(days: int) -> tuple[dt.date, dt.date]:
    return site_day() - dt.timedelta(days=days - 1), site_day()


KEYS: dict[str, Callable[[Row], list[str]]] = {
    "user": lambda row: [row["person"] or "(removed accounts)"],
    "model": lambda row: [dict(ChatModel.objects.values_list("name", "label")).get(row["model"]) or row["model"]],
    "day": lambda row: [str(row["day"])],
    "group": lambda row: row["groups"] or ["(no group)"],
}


@pytest.mark.parametrize("by", KEYS)
def test_every_line_of_the_sheet_is_the_sum_of_its_rows(by: str, boss: Client, rows: list[Row]) -> None:
    for query, (first, last) in (
        ("days=1", span_of(1)),
        ("days=7", span_of(7)),
        ("days=90", span_of(90)),
        (f"since={span_of(40)[0]}&until={span_of(9)[0]}", (span_of(40)[0], span_of(9)[0])),
    ):
        response = boss.get(f"{DASHBOARD}?{query}&by={by}&format=csv")
        lines = {line[by].removeprefix("'"): line for line in csv.DictReader(io.StringIO(response.content.decode()))}
        chosen = [row for row in rows if first <= row["day"] <= last]
        expected: dict[str, list[Row]] = {}
        for row in chosen:
            for key in KEYS[by](row):
                expected.setdefault(key, []).append(row)
        assert {key: {name: line[name] for name in summed([])} for key, line in lines.items()} == {
            key: summed(found) for key, found in expected.items()
        }


def test_each_person_sees_of_themselves_what_the_admin_sees(boss: Client, rows: list[Row]) -> None:
    for days in (7, 30, 90):
        sheet = boss.get(f"{DASHBOARD}?days={days}&by=user&format=csv").content.decode()
        lines = {line["user"].removeprefix("'"): line for line in csv.DictReader(io.StringIO(sheet))}
        seen = [person for person in User.objects.exclude(username="boss") if person.get_username() in lines]
        assert seen
        for person in seen:
            line, own = lines[person.get_username()], Client()
            own.force_login(person)
            total = own.get("/usage/", {"days": days}).context["total"]
            assert f"{total.cost / 1_000_000:.6f}" == line["cost_usd"]
            names = ("requests", "prompt_tokens", "completion_tokens", "failed", "stopped", "unpriced")
            assert {name: str(getattr(total, name)) for name in names} == {name: line[name] for name in names}


def test_the_tiles_and_the_last_line_are_the_whole(boss: Client, rows: list[Row]) -> None:
    context = boss.get(f"{DASHBOARD}?days=30").context
    chosen = [row for row in rows if row["day"] >= span_of(30)[0]]
    failed = sum(row["status"] in ("failed", "interrupted") for row in chosen)
    tiles = {tile.label: tile.value for tile in context["tiles"]}
    assert tiles["Spend"] == f"${sum(row['cost'] or 0 for row in chosen) / 1e6:,.2f}"
    assert tiles["Answers"] == context["total"].requests == str(len(chosen))
    assert tiles["Errors"] == words.percent(failed / len(chosen))
    assert context["total"].failed == str(failed)
    assert tiles["People"] == "5"


@pytest.mark.parametrize("by", KEYS)
def test_a_line_leads_to_the_ledger_rows_it_adds_up(by: str, boss: Client, rows: list[Row]) -> None:
    for line in boss.get(f"{DASHBOARD}?days=30&by={by}").context["rows"]:
        sums = boss.get(line.url).context["cl"].paginator.words()
        assert (sums["rows"], sums["cost"]) == (line.requests, line.cost), line.label
        if line.failed_url:
            assert boss.get(line.failed_url).context["cl"].paginator.words()["rows"] == line.failed


def test_the_charts_show_every_day_and_nothing_else(boss: Client, rows: list[Row]) -> None:
    spend, answers, *_others = boss.get(f"{DASHBOARD}?days=30").context["charts"]
    assert len(spend.columns) == 30
    for number, column in enumerate(answers.columns):
        found = [row for row in rows if row["day"] == span_of(30)[0] + dt.timedelta(days=number)]
        stopped = sum(row["status"] == "stopped" for row in found)
        failed = sum(row["status"] in ("failed", "interrupted") for row in found)
        good = len(found) - stopped - failed
        assert f"answered {good}, stopped {stopped}, failed {failed}, refused by a limit 0" in column.title


def test_columns_sort_both_ways(boss: Client, rows: list[Row]) -> None:
    def numbers(order: str, column: str) -> list[float]:
        context = boss.get(f"{DASHBOARD}?days=90&by=day&order={order}").context
        head = next(head for head in context["heads"] if head.query.endswith(f"order={turned[order]}"))
        assert head.sorted == ("descending" if order.startswith("-") else "ascending")
        texts = [getattr(row, column) for row in context["rows"]]
        return [float(re.sub(r"[^0-9.]", "", text)) for text in texts]

    for column in ("cost", "requests", "tokens", "failed"):
        turned = {column: f"-{column}", f"-{column}": column}
        assert numbers(column, column) == sorted(numbers(column, column))
        assert numbers(f"-{column}", column) == sorted(numbers(column, column), reverse=True)
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
def test_nonsense_in_the_address_is_explained_and_harmless(query: str, days: int, boss: Client) -> None:
    response = boss.get(f"{DASHBOARD}?{query}")
    assert response.status_code == 200
    assert response.context["wish"].span.length == days
    assert bool(list(response.context["messages"])) == ("since" in query and days == 30)


def test_the_dashboard_refreshes_only_when_asked(boss: Client) -> None:
    assert "Refresh" not in boss.get(DASHBOARD).headers
    assert boss.get(DASHBOARD + "?days=1&every=60").headers["Refresh"] == "60"


# The ledger.


def totals(response: Any) -> str:
    return response.context["cl"].paginator.words()["rows"]


def test_the_ledger_adds_up_what_it_lists(boss: Client, rows: list[Row]) -> None:
    for query, chosen in (
        ("", rows),
        ("model=gpt-4o", [row for row in rows if row["model"] == "gpt-4o"]),
        ("ended=broken", [row for row in rows if row["status"] in ("failed", "interrupted")]),
        ("ended=stopped", [row for row in rows if row["status"] == "stopped"]),
        ("q=BEN", [row for row in rows if row["person"] == "@ben"]),
        ("q=nobody", []),
        ("person=none", [row for row in rows if not row["person"]]),
        ("person=999", []),
    ):
        response = boss.get(f"{LEDGER}?{query}")
        text = re.sub(r"<[^>]+>", " ", html.unescape(response.content.decode()))
        sums = summed(chosen)
        assert totals(response) == sums["requests"], query
        assert words.count(float(sums["prompt_tokens"])) in text
        assert words.dollars(sum(row["cost"] or 0 for row in chosen)) in text


def test_pages_of_the_ledger_hold_every_row_once_in_order(boss: Client, rows: list[Row]) -> None:
    for order in ("", "&o=-7", "&o=7"):
        shown: list[UsageRecord] = []
        for page in range(1, 5):
            shown += boss.get(f"{LEDGER}?p={page}{order}").context["cl"].result_list
        assert len({record.pk for record in shown}) == len(rows)
        if not order:
            assert shown == sorted(shown, key=lambda record: record.created_at, reverse=True)
        else:
            known = [record.cost for record in shown if record.cost is not None]
            assert known == sorted(known, reverse=order == "&o=-7")


def test_the_ledger_is_searched_by_the_ids_of_messages_and_conversations(boss: Client, rows: list[Row]) -> None:
    record = UsageRecord.objects.order_by("?")[0]
    for found in (record.message_id, record.conversation_id, record.message_id.hex):
        response = boss.get(f"{LEDGER}?q={found}")
        assert [row.pk for row in response.context["cl"].result_list] == [record.pk]


def test_chosen_rows_are_downloaded(boss: Client, rows: list[Row]) -> None:
    chosen = list(UsageRecord.objects.filter(user__username="@ben").order_by("-created_at", "-pk"))
    answer = boss.post(LEDGER, {"action": "as_csv", "_selected_action": [record.pk for record in chosen]})
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [line["message_id"] for line in lines] == [str(record.message_id) for record in chosen]
    assert {line["username"] for line in lines} == {"'@ben"}
    costs = ["" if record.cost is None else f"{record.cost / 1e6:.6f}" for record in chosen]
    assert [line["cost_usd"] for line in lines] == costs


def test_a_download_too_large_is_refused_in_words(
    boss: Client, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_CSV_ROWS", ROWS - 1)
    wanted = {"action": "as_csv", "_selected_action": [UsageRecord.objects.first().pk], "select_across": "1"}
    assert "narrow the list down" in boss.post(LEDGER, wanted, follow=True).content.decode()
    monkeypatch.setattr(ledger, "MOST_CSV_ROWS", ROWS)
    assert len(boss.post(LEDGER, wanted).content.splitlines()) == ROWS + 1


# Parts.


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_never_runs_a_cell(begin: str) -> None:
    response = sheets.download("name", ["head"], [[begin + "1+1", -5, "plain", None]])
    assert list(csv.reader(io.StringIO(response.content.decode(), newline="")))[1] == [
        f"'{begin}1+1",
        "-5",
        "plain",
        "",
    ]


def test_a_chart_is_drawn_to_scale() -> None:
    chart = charts.bars(
        "Title",
        ["Mon", "Tue"],
        [Series(kind="a", label="good", values=[3, 0]), Series(kind="bad", label="bad", values=[1, None])],
        words.count,
    )
    assert (chart.top, chart.middle, chart.first, chart.last) == ("4", "2", "Mon", "Tue")
    (below, above), nothing = (column.bars for column in chart.columns)
    assert (below.y, below.height) == ("25", "75")
    assert (above.y, above.height) == ("0", "25")
    assert nothing == []
    assert chart.columns[1].title == "Tue: good 0, bad –"


def test_a_line_breaks_where_nothing_was_measured() -> None:
    chart = charts.lines("Title", list("abcd"), [Series(kind="a", label="x", values=[10, 20, None, 20])], words.count)
    assert [line.points for line in chart.lines] == ["5,50 15,0", "35,0 35,0"]


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (3, 4), (0.03, 0.04), (81, 100), (1_000_001, 2_000_000)])
def test_the_top_of_a_chart_halves_well(value: float, top: float) -> None:
    assert charts.nice(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "$0.00"), (1, "< $0.0001"), (1_200, "$0.0012"), (270_000, "$0.27"), (1_234_567_890, "$1,234.57")],
)
def test_money_is_written_as_fine_as_it_is_small(micro: int, text: str) -> None:
    assert words.dollars(micro) == text
