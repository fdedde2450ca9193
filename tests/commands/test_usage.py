"""`manage.py usage`: reports, and the comparison of the daily totals with the usage ledger."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from chat.models import DailyUsage, User, site_day
from tests.commands.terminal import Terminal, add_usage


@pytest.fixture
def usage(alice: User) -> None:
    """Two answers of alice, one of them failed and without a price, and one of bob for $1.50."""
    bob = User.objects.create_user("bob")
    add_usage(alice)
    add_usage(alice, model="other", cost=None, status="failed")
    add_usage(bob, cost=1_500_000)


def test_it_adds_up_by_user(manage: Terminal, usage: None) -> None:
    code, out, _err = manage("usage", "--by", "user", "--format", "json", "--order=-requests")
    assert code == 0
    names = ("label", "requests", "tokens", "cost", "failed", "unpriced")
    assert [tuple(row[name] for name in names) for row in json.loads(out)] == [
        ("alice", 2, 30, 7, 1, 1),
        ("bob", 1, 15, 1_500_000, 0, 0),
    ]


def test_it_adds_up_the_models_of_one_user(manage: Terminal, usage: None) -> None:
    _code, out, _err = manage("usage", "--by", "model", "--user", "alice", "--format", "csv")
    assert [row["label"] for row in csv.DictReader(io.StringIO(out))] == ["m", "other"]


def test_the_table_has_a_line_for_each_day_and_a_total(manage: Terminal, usage: None) -> None:
    _code, out, _err = manage("usage")
    assert re.search(rf"^{site_day()} +3 +2 +45 +1\.5000", out, re.M)
    assert re.search(r"^total +3 +2 +45 +1\.5000", out, re.M)


def test_an_empty_table_says_so(manage: Terminal) -> None:
    assert manage("usage", "--since", "2020-01-01", "--until", "2020-02-01") == (0, "", "Nothing to show.\n")


def test_empty_json_is_an_empty_array(manage: Terminal) -> None:
    assert manage("usage", "--format", "json")[1] == "[]\n"


def test_check_finds_no_difference(manage: Terminal, usage: None) -> None:
    assert manage("usage", "--check")[:2] == (0, "The daily totals match the usage ledger.\n")


def test_check_names_each_difference(manage: Terminal, alice: User) -> None:
    add_usage(alice)
    DailyUsage.objects.update(requests=4, cost=1)
    code, out, err = manage("usage", "--check")
    assert code == 1
    assert out.splitlines() == [
        f"{site_day()} user {alice.pk} m: requests is 1 in the ledger, 4 in the daily totals",
        f"{site_day()} user {alice.pk} m: cost is 7 in the ledger, 1 in the daily totals",
    ]
    assert err.startswith("CommandError: 2 differences.")


def test_rebuild_corrects_the_daily_totals(manage: Terminal, usage: None) -> None:
    DailyUsage.objects.update(requests=4, cost=1)
    assert manage("usage", "--rebuild")[0] == 0
    assert manage("usage", "--check")[0] == 0
