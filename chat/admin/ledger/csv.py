"""Ledger rows as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from chat.admin.csv_export import csv_response
from chat.infra.formatting import exact_dollars
from chat.models import UsageRecord, site_day

COLUMNS = (
    "created_at",
    "username",
    "model",
    "status",
    "reason",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cost_usd",
    "exact",
    "first_token_ms",
    "duration_ms",
    "message_id",
    "conversation_id",
    "upstream_request_id",
)
FIELDS = tuple({"username": "user__username", "cost_usd": "cost"}.get(name, name) for name in COLUMNS)
CHUNK = 2000


def csv_download(records: QuerySet[UsageRecord]) -> HttpResponse:
    """All records, in dollars and milliseconds."""
    return csv_response(f"ledger-{site_day()}", COLUMNS, _rows(records))


def _rows(records: QuerySet[UsageRecord]) -> Iterator[list[Any]]:
    for record in records.values(*FIELDS).iterator(chunk_size=CHUNK):
        cost = record["cost"]
        values = {
            **record,
            "created_at": record["created_at"].isoformat(),
            "cost": None if cost is None else exact_dollars(cost),
        }
        yield [values[name] for name in FIELDS]
