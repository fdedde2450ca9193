"""How long the admin's pages take over a large ledger: seconds and queries a page.

    python benchmarks/admin.py [--rows 1000000] [--people 100] [--keep FILE]
    DATABASE_URL=postgresql://… python benchmarks/admin.py

Makes its rows in a database of its own: a SQLite file (in a temporary folder, or kept
where --keep says), or whatever empty database DATABASE_URL names. Each page is asked for
three times and the median counts; CPU is that of this process, which is all there is with SQLite.
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
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini")
STATUSES = ("complete", "truncated", "filtered", "refused", "stopped", "interrupted", "failed")
WEIGHTS = (880, 20, 5, 10, 50, 15, 20)
DAYS = 365
BATCH = 5_000


def open_site(keep: str) -> None:
    os.environ.setdefault("SECRET_KEY", "benchmark-only-" + "k" * 40)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    os.environ["HTTPS_ONLY"] = "0"
    os.environ["ALLOWED_HOSTS"] = ""
    if not os.environ.get("DATABASE_URL"):
        path = Path(keep or tempfile.mkdtemp()) if keep else Path(tempfile.mkdtemp()) / "bench.sqlite3"
        os.environ["DATABASE_URL"] = f"sqlite:///{path.resolve()}"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def records(rows: int, people: list[int], rng: random.Random) -> Iterator[Any]:
    """Ledger rows in the order of time, the last of them now."""
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
            user_id=people[min(int(rng.expovariate(4) * len(people)), len(people) - 1)],
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
    from django.contrib.auth.models import Group
    from django.db import transaction

    from chat.models import DailyUsage, UsageRecord, User, usage_amounts

    if UsageRecord.objects.count() >= rows:
        return
    groups = [Group.objects.create(name=f"team-{number}") for number in range(5)]
    persons = User.objects.bulk_create([User(username=f"person-{number:03}") for number in range(people)])
    for number, person in enumerate(persons):
        person.groups.add(groups[number % 5])
    daily: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    batch = []
    with transaction.atomic():
        for record in records(rows, [person.pk for person in persons], random.Random(7)):
            daily[record.user_id, record.model, record.day].update(usage_amounts(record))
            batch.append(record)
            if len(batch) == BATCH:
                UsageRecord.objects.bulk_create(batch)
                batch.clear()
        UsageRecord.objects.bulk_create(batch)
        rollups = [DailyUsage(user_id=key[0], model=key[1], day=key[2], **sums) for key, sums in daily.items()]
        DailyUsage.objects.bulk_create(rollups, batch_size=500)


def settle() -> None:
    """As the database's own housekeeping would have done by then."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def pages() -> dict[str, str]:
    from django.urls import reverse

    from chat.models import UsageRecord, User

    ledger, dashboard = reverse("admin:chat_usagerecord_changelist"), reverse("admin:chat_dashboard")
    someone = User.objects.exclude(username="bench").order_by("pk")[0]
    row = UsageRecord.objects.order_by("-created_at").first()
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
        "ledger, one person": f"{ledger}?person={someone.pk}",
        "ledger, one group, 30 days": f"{ledger}?group=1&{month}",
        "ledger, a common model": f"{ledger}?model={MODELS[0]}",
        "ledger, a rare model": f"{ledger}?model={MODELS[-1]}",
        "ledger, a model never used": f"{ledger}?model=gpt-4.1-nano",
        "ledger, broken": f"{ledger}?ended=broken",
        "ledger, estimated": f"{ledger}?exact__exact=0",
        "ledger, search a name": f"{ledger}?q=person-01",
        "ledger, search an id": f"{ledger}?q={row.message_id}",
        "ledger, search nothing": f"{ledger}?q=nobody",
        "ledger, by cost": f"{ledger}?o=-7",
        "ledger, a row": reverse("admin:chat_usagerecord_change", args=(row.pk,)),
        "running answers": reverse("admin:chat_live"),
        "health": reverse("admin:chat_health"),
        "limits of a person": reverse("admin:chat_user_limits", args=(someone.pk,)),
        "people": reverse("admin:chat_user_changelist"),
    }


def measure() -> bool:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from chat.models import User

    client = Client(headers={"host": "localhost"})
    logging.disable(logging.INFO)
    client.force_login(User.objects.filter(username="bench").first() or User.objects.create_superuser("bench"))
    good = True
    for name, url in pages().items():
        times, cpu = [], []
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                begun, worked = time.perf_counter(), time.process_time()
                response = client.get(url)
                times.append(time.perf_counter() - begun)
                cpu.append(time.process_time() - worked)
            assert response.status_code == 200, (url, response.status_code)
        seconds, count = statistics.median(times), len(queries)
        fine = seconds < 1 and count <= 15
        good = good and fine
        work = statistics.median(cpu)
        print(
            f"{name:32} {seconds:7.3f} s {work:7.3f} s CPU {count:3} queries  {'' if fine else 'TOO MUCH'}", flush=True
        )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--keep", default="", metavar="FILE")
    options = parser.parse_args()
    open_site(options.keep)
    from django.db import connection

    begun = time.perf_counter()
    fill(options.rows, options.people)
    settle()
    print(
        f"{connection.vendor}, {options.rows:,} rows of {options.people} people ({time.perf_counter() - begun:.0f} s)"
    )
    sys.exit(not measure())


if __name__ == "__main__":
    main()
