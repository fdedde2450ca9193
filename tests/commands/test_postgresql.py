"""The commands do the same on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeProvider
from tests.site import Site

STEPS: list[list[str]] = [
    ["ask", "one two", "--user", "alice"],
    ["usage", "--check"],
    ["usage", "--rebuild"],
    ["usage", "--check"],
    ["usage", "--by", "group", "--format", "csv"],
    ["models", "sync"],
    ["prune", "--older-than", "1h", "--yes"],
    ["apikey", "create", "alice", "--name", "x"],
    ["export", "alice"],
    ["erase", "alice", "--yes"],
    ["usage", "--by", "user", "--format", "csv"],
    ["usage", "--check"],
]
SCRIPT = f"""
import datetime as dt
from django.core.management import call_command
from chat.models import Conversation, UsageRecord
for step in {STEPS!r}:
    if step[0] == "prune":
        Conversation.objects.update(updated_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    call_command(*step)
print(Conversation.objects.count(), UsageRecord.objects.get().user_id)
"""


@pytest.fixture
def output(postgres: str, tmp_path: Path, upstream: FakeProvider) -> list[str]:
    """The lines of all steps, run by one process."""
    site = Site(tmp_path, DATABASE_URL=postgres, OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test")
    return site.shell(SCRIPT).splitlines()


def test_the_commands_do_the_same_on_postgresql(output: list[str]) -> None:
    assert output[0] == "one two "
    assert output.count("The daily totals match the usage ledger.") == 3
    assert any(line.startswith(",(no group),1,1,") for line in output)
    assert any(line.startswith(",(removed accounts),1,0,") for line in output)
    assert output[-1] == "0 None"
