"""Ledger rows of some weeks, and their sums computed from the rows."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone

from chat.models import ChatModel, User, site_day
from tests.admin.rows import add_record

MODELS = ("gpt-4o", "gpt-4o-mini", "left=the catalogue")
ROWS = 160
STATUSES = ("complete", "complete", "complete", "truncated", "stopped", "failed", "interrupted")
Row = dict[str, Any]


def add_rows() -> list[Row]:
    """Rows of six users: one of them without a group, one in two groups, one removed."""
    rng = random.Random(11)
    groups = [Group.objects.create(name=name) for name in ("=red", "blue & white")]
    users = [User.objects.create_user(name) for name in ("ann", "@ben", "cleo", "dirk", "eve")]
    for user, numbers in zip(users, ((0,), (0,), (1,), (0, 1), ()), strict=True):
        user.groups.set([groups[number] for number in numbers])
    now = timezone.now()
    rows = []
    for _ in range(ROWS):
        user, status = rng.choice([*users, None]), rng.choice(STATUSES)
        moment = now - dt.timedelta(hours=rng.randrange(24 * 60))
        row: Row = {
            "user": user.username if user else "",
            "groups": [group.name for group in user.groups.all()] if user else [],
            "model": rng.choice(MODELS),
            "day": site_day(moment),
            "status": status,
            "prompt": rng.randrange(1, 3000),
            "completion": 0 if status == "failed" else rng.randrange(1, 900),
            "cost": rng.choice((None, 0, rng.randrange(1, 9_000_000))),
        }
        rows.append(row)
        add_record(
            user,
            message_id=uuid.uuid4(),
            model=row["model"],
            status=status,
            prompt_tokens=row["prompt"],
            completion_tokens=row["completion"],
            cost=row["cost"],
            first_token_ms=None if status == "failed" else rng.randrange(50, 9000),
            created_at=moment,
        )
    return rows


def sums(rows: Iterable[Row]) -> dict[str, str]:
    """As the dashboard's CSV has them."""
    rows = list(rows)
    return {
        "cost_usd": f"{sum(row['cost'] or 0 for row in rows) / 1_000_000:.6f}",
        "requests": str(len(rows)),
        "people": str(len({row["user"] for row in rows if row["user"]})),
        "prompt_tokens": str(sum(row["prompt"] for row in rows)),
        "completion_tokens": str(sum(row["completion"] for row in rows)),
        "failed": str(sum(row["status"] in ("failed", "interrupted") for row in rows)),
        "stopped": str(sum(row["status"] == "stopped" for row in rows)),
        "unpriced": str(sum(row["cost"] is None for row in rows)),
    }


def last_days(days: int) -> tuple[dt.date, dt.date]:
    return site_day() - dt.timedelta(days=days - 1), site_day()


LABELS: dict[str, Callable[[Row], list[str]]] = {
    "user": lambda row: [row["user"] or "(removed accounts)"],
    "model": lambda row: [dict(ChatModel.objects.values_list("name", "label")).get(row["model"]) or row["model"]],
    "day": lambda row: [str(row["day"])],
    "group": lambda row: row["groups"] or ["(no group)"],
}
"""The labels of the lines that a row is part of, by dimension."""
