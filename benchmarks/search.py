"""Measure searches over a million messages, on SQLite or PostgreSQL.

    python benchmarks/search.py [--messages 1000000] [--database URL]

Fills a database of its own (a temporary SQLite file, or the empty database that URL names), then searches as three
users: one who owns half of all messages, one with an average number, and one with none. The words are
Zipf-distributed, so the most frequent one is in nearly every message.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

VOCABULARY = 50_000
WORDS = 60
BATCH = 5_000
PER_CONVERSATION = 100


def make_vocabulary(seed: random.Random) -> list[str]:
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "ol", "ut")]
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(seed.choices(syllables, k=seed.randint(1, 4)))] = None
    return list(found)


def fill(count: int, vocabulary: list[str], seed: random.Random) -> dict[str, object]:
    from django.db import transaction

    from chat.models import Conversation, Message, User

    users = {name: User.objects.create(username=name) for name in ("half", "average", "none")}
    others = [User.objects.create(username=f"person{number}") for number in range(200)]
    weights = [1 / rank for rank in range(1, VOCABULARY + 1)]
    pool = seed.choices(vocabulary, weights, k=2_000_000)
    created = 0
    while created < count:
        with transaction.atomic():
            conversations = []
            for _ in range(BATCH // PER_CONVERSATION):
                owner = users["half"] if seed.random() < 0.5 else seed.choice([*others, users["average"]])
                title = " ".join(seed.sample(pool, 5))
                conversations.append(Conversation(user=owner, title=title))
            Conversation.objects.bulk_create(conversations)
            rows = []
            for conversation in conversations:
                for _ in range(PER_CONVERSATION):
                    at = seed.randrange(len(pool) - WORDS)
                    rows.append(
                        Message(conversation=conversation, role="user", content=" ".join(pool[at : at + WORDS]))
                    )
            Message.objects.bulk_create(rows, batch_size=1000)
        created += BATCH
    return users


def measure(users: dict[str, object], vocabulary: list[str]) -> None:
    from chat.search import queries as search

    queries = {
        "most frequent word": vocabulary[0],
        "two frequent words": f"{vocabulary[3]} {vocabulary[7]}",
        "average word": vocabulary[2_000],
        "rare word": vocabulary[20_000],
        "prefix of many words": vocabulary[0][:1] + "era",
        "unknown word": "xyzzy",
    }
    print(f"{'user':8}{'words':26}{'hits':>5}{'median ms':>12}{'worst ms':>12}")
    for name, user in users.items():
        for kind, query in queries.items():
            times = []
            for _ in range(7):
                started = time.perf_counter()
                hits = search.find(user, query, limit=21)  # type: ignore[arg-type]
                times.append(1000 * (time.perf_counter() - started))
            print(f"{name:8}{kind:26}{len(hits):5}{statistics.median(times):12.1f}{max(times):12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = options.database or f"sqlite:////{folder}/search.sqlite3"
        os.environ.update(
            DJANGO_SETTINGS_MODULE="chatsite.settings", HTTPS_ONLY="0", SECRET_KEY="benchmark-" + "k" * 40
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        seed = random.Random(1)
        vocabulary = make_vocabulary(seed)
        started = time.perf_counter()
        users = fill(options.messages, vocabulary, seed)
        print(f"{connection.vendor}: {options.messages:,} messages in {time.perf_counter() - started:.0f} s")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")
        else:
            print(f"file: {Path(folder, 'search.sqlite3').stat().st_size / 1e9:.2f} GB")
        measure(users, vocabulary)


if __name__ == "__main__":
    main()
