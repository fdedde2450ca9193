"""How long the admin's pages take with a large usage ledger: seconds and queries for each page.

    python benchmarks/admin.py [--rows 1000000] [--people 100] [--keep FILE]
    DATABASE_URL=postgresql://… python benchmarks/admin.py

Creates its rows in a database of its own: a SQLite file (in a temporary folder, or in FILE, where it
is kept), or the empty database that DATABASE_URL names. Each page is requested three times; the
medians are printed. CPU is that of this process, so with PostgreSQL it lacks the database's.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini")
STATUSES = ("complete", "truncated", "filtered", "refused", "stopped", "interrupted", "failed")
WEIGHTS = (880, 20, 5, 10, 50, 15, 20)
DAYS = 365
BATCH = 5_000
REPEATS = 3
MAX_SECONDS = 1
MAX_QUERIES = 15


def set_up_site(keep: str) -> None:
    """Configure Django and migrate the database."""
    os.environ.setdefault("SECRET_KEY", "benchmark-only-" + "k" * 40)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    os.environ["HTTPS_ONLY"] = "0"
    os.environ["ALLOWED_HOSTS"] = ""
    if not os.environ.get("DATABASE_URL"):
        path = Path(keep) if keep else Path(tempfile.mkdtemp()) / "bench.sqlite3"
        os.environ["DATABASE_URL"] = f"sqlite:///{path.resolve()}"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def records(rows: int, user_ids: list[int], rng: random.Random) -> Iterator[Any]:
    """Ledger rows of a year, the oldest first, the last one now."""
    from django.utils import timezone

    from chat.models import UsageRecord, site_day

    now = timezone.now()
    step = dt.timedelta(days=DAYS) / rows
    for number in range(rows):
        moment = now - step * (rows - number)
        status = rng.choices(STATUSES, WEIGHTS)[0]
        prompt, completion = rng.randrange(20, 4000), 0 if status == "failed" else rng.randrange(5, 1200)
        yield UsageRecord(
            message_id=uuid.UUID(int=rng.getrandbits(128)),
            conversation_id=uuid.UUID(int=rng.getrandbits(128)),
            user_id=user_ids[min(int(rng.expovariate(4) * len(user_ids)), len(user_ids) - 1)],
            model=rng.choices(MODELS, (70, 20, 8, 2))[0],
            status=status,
            reason="upstream-busy" if status in ("failed", "interrupted") else "",
            prompt_tokens=prompt,
            completion_tokens=completion,
            reserved_tokens=prompt + 1500,
            cost=prompt + completion * 4,
            exact=status == "complete",
            first_token_ms=None if status == "failed" else int(rng.lognormvariate(6.2, 0.6)),
            duration_ms=rng.randrange(500, 20_000),
            created_at=moment,
            day=site_day(moment),
        )


def fill(rows: int, people: int) -> None:
    """Create users in groups, ledger rows and their daily totals, unless there are enough rows."""
    from django.contrib.auth.models import Group
    from django.db import transaction

    from chat.models import UsageRecord, User
    from chat.usage import reconciliation

    if UsageRecord.objects.count() >= rows:
        return
    groups = [Group.objects.create(name=f"team-{number}") for number in range(5)]
    users = User.objects.bulk_create([User(username=f"person-{number:03}") for number in range(people)])
    for number, user in enumerate(users):
        user.groups.add(groups[number % 5])
    batch = []
    with transaction.atomic():
        for record in records(rows, [user.pk for user in users], random.Random(7)):
            batch.append(record)
            if len(batch) == BATCH:
                UsageRecord.objects.bulk_create(batch)
                batch.clear()
        UsageRecord.objects.bulk_create(batch)
        for day in reconciliation.recorded_days():
            reconciliation.rebuild(day)


def analyze() -> None:
    """Update the statistics of the query planner, which a database does in the background."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def pages() -> dict[str, str]:
    """URLs by a name to print."""
    from django.urls import reverse

    from chat.models import UsageRecord, User

    ledger, dashboard = reverse("admin:chat_usagerecord_changelist"), reverse("admin:chat_dashboard")
    user = User.objects.exclude(username="bench").order_by("pk")[0]
    row = UsageRecord.objects.order_by("-created_at")[0]
    today = row.day
    month = f"day__gte={today - dt.timedelta(days=29)}&day__lt={today + dt.timedelta(days=1)}"
    return {
        "index": reverse("admin:index"),
        "dashboard, today": f"{dashboard}?days=1",
        "dashboard, 30 days by person": f"{dashboard}?days=30&by=user",
        "dashboard, 90 days by group": f"{dashboard}?days=90&by=group",
        "dashboard, a year by day": f"{dashboard}?since={today - dt.timedelta(days=365)}&until={today}&by=day",
        "dashboard, CSV": f"{dashboard}?days=90&by=user&format=csv",
        "ledger": ledger,
        "ledger, page 5000": f"{ledger}?p=5000",
        "ledger, last 30 days": f"{ledger}?{month}",
        "ledger, one person": f"{ledger}?person={user.pk}",
        "ledger, one group, 30 days": f"{ledger}?group=1&{month}",
        "ledger, a common model": f"{ledger}?model={MODELS[0]}",
        "ledger, a rare model": f"{ledger}?model={MODELS[-1]}",
        "ledger, a model never used": f"{ledger}?model=gpt-4.1-nano",
        "ledger, failed or interrupted": f"{ledger}?ended=broken",
        "ledger, estimated": f"{ledger}?exact__exact=0",
        "ledger, search a name": f"{ledger}?q=person-01",
        "ledger, search an id": f"{ledger}?q={row.message_id}",
        "ledger, search nothing": f"{ledger}?q=nobody",
        "ledger, by cost": f"{ledger}?o=-7",
        "ledger, a row": reverse("admin:chat_usagerecord_change", args=(row.pk,)),
        "running answers": reverse("admin:chat_live"),
        "health": reverse("admin:chat_health"),
        "limits of a user": reverse("admin:chat_user_limits", args=(user.pk,)),
        "users": reverse("admin:chat_user_changelist"),
    }


def measure() -> bool:
    """Print a line for each page; False if one exceeds `MAX_SECONDS` or `MAX_QUERIES`."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from chat.models import User

    client = Client(headers={"host": "localhost"})
    logging.disable(logging.INFO)
    client.force_login(User.objects.filter(username="bench").first() or User.objects.create_superuser("bench"))
    is_within_limits = True
    for name, url in pages().items():
        times, cpu = [], []
        for _ in range(REPEATS):
            with CaptureQueriesContext(connection) as queries:
                started, cpu_started = time.perf_counter(), time.process_time()
                response = client.get(url)
                times.append(time.perf_counter() - started)
                cpu.append(time.process_time() - cpu_started)
            assert response.status_code == 200, (url, response.status_code)
        seconds, count = statistics.median(times), len(queries)
        is_fine = seconds < MAX_SECONDS and count <= MAX_QUERIES
        is_within_limits = is_within_limits and is_fine
        cpu_seconds = statistics.median(cpu)
        verdict = "" if is_fine else "TOO MUCH"
        print(f"{name:32} {seconds:7.3f} s {cpu_seconds:7.3f} s CPU {count:3} queries  {verdict}", flush=True)
    return is_within_limits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--keep", default="", metavar="FILE")
    options = parser.parse_args()
    set_up_site(options.keep)
    from django.db import connection

    started = time.perf_counter()
    fill(options.rows, options.people)
    analyze()
    print(
        f"{connection.vendor}, {options.rows:,} rows of {options.people} people ({time.perf_counter() - started:.0f} s)"
    )
    sys.exit(not measure())


if __name__ == "__main__":
    main()
