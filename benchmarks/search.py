"""How long a search takes over a million messages, on SQLite and on PostgreSQL.

    python benchmarks/search.py [--messages 1000000] [--database URL]

Fills a database of its own (a temporary SQLite file, or the database URL names, which must be
empty), then searches as three people: one who wrote half of everything, one with a usual amount, and
one with nothing. The words are Zipf-distributed, so the commonest stands in nearly every message.
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


def words(seed: random.Random) -> list[str]:
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "ol", "ut")]
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(seed.choices(syllables, k=seed.randint(1, 4)))] = None
    return list(found)


def fill(count: int, vocabulary: list[str], seed: random.Random) -> dict[str, object]:
    from django.db import transaction

    from chat.models import Conversation, Message, User

    people = {name: User.objects.create(username=name) for name in ("heavy", "usual", "new")}
    others = [User.objects.create(username=f"person{number}") for number in range(200)]
    weights = [1 / rank for rank in range(1, VOCABULARY + 1)]
    pool = seed.choices(vocabulary, weights, k=2_000_000)
    made = 0
    while made < count:
        with transaction.atomic():
            conversations = []
            for _ in range(BATCH // PER_CONVERSATION):
                owner = people["heavy"] if seed.random() < 0.5 else seed.choice([*others, people["usual"]])
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
        made += BATCH
    return people


def measure(people: dict[str, object], vocabulary: list[str]) -> None:
    from chat.search import queries as search

    queries = {
        "commonest word": vocabulary[0],
        "two common words": f"{vocabulary[3]} {vocabulary[7]}",
        "usual word": vocabulary[2_000],
        "rare word": vocabulary[20_000],
        "beginning of many words": vocabulary[0][:1] + "era",
        "not there": "xyzzy",
    }
    print(f"{'who':8}{'what':26}{'hits':>5}{'median ms':>12}{'worst ms':>12}")
    for who, person in people.items():
        for what, query in queries.items():
            taken = []
            for _ in range(7):
                begun = time.perf_counter()
                hits = search.find(person, query, limit=21)  # type: ignore[arg-type]
                taken.append(1000 * (time.perf_counter() - begun))
            print(f"{who:8}{what:26}{len(hits):5}{statistics.median(taken):12.1f}{max(taken):12.1f}")


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
        vocabulary = words(seed)
        begun = time.perf_counter()
        people = fill(options.messages, vocabulary, seed)
        print(f"{connection.vendor}: {options.messages:,} messages in {time.perf_counter() - begun:.0f} s")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")
        else:
            print(f"file: {Path(folder, 'search.sqlite3').stat().st_size / 1e9:.2f} GB")
        measure(people, vocabulary)


if __name__ == "__main__":
    main()
