"""Measure pages of a user with many messages, on SQLite or PostgreSQL: time to first byte, CPU, size, queries.

    python -m benchmarks.pages [--postgresql]

The user has 10,000 conversations, one of them of 1,000 messages. Targets: the first byte within 50 ms, and as many
queries as with 20 conversations.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import time

from benchmarks.relay.candidates import Server, chatsite
from tests.services import postgres_database

REQUESTS = 40
WARM_UP_REQUESTS = 3
ROWS = """
import datetime as dt, json
from django.utils import timezone
from chat.models import Conversation, Message, User
alice = User.objects.get(username="person-0")
now = timezone.now()
made = Conversation.objects.bulk_create(
    Conversation(user=alice, title=f"About {number}", created_at=now, updated_at=now - dt.timedelta(minutes=number))
    for number in range(CONVERSATIONS)
)
long, rows, parent = made[0], [], None
for number in range(1000):
    parent = Message(
        conversation=long, parent=parent, role="assistant" if number % 2 else "user",
        content=f"Words **{number}** and `code`.\\n\\n- one\\n- two", model="gpt-4o-mini",
        created_at=now + dt.timedelta(seconds=number), finished_at=now,
    )
    rows.append(parent)
Message.objects.bulk_create(rows)
Conversation.objects.filter(pk=long.pk).update(head=parent)
print(json.dumps([str(long.pk), str(made[-1].pk)]))
"""
QUERIES = """
import json, re
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from chat.models import User
client, found = Client(headers={{"host": "localhost"}}), {{}}
client.force_login(User.objects.get(username="person-0"))
for path in {paths!r}:
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    plans = []
    for query in queries.captured_queries:
        if query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + ("QUERY PLAN " if connection.vendor == "sqlite" else "") + query["sql"])
                plans += [str(row[-1]) for row in cursor.fetchall()]
    scans = [plan for plan in plans if re.search("(SCAN|Seq Scan on) chat_(message|conversation)", plan)]
    found[path] = [len(queries), scans]
print(json.dumps(found))
"""


def measure_page(server: Server, path: str) -> tuple[float, float, int]:
    """Median milliseconds to the first byte, CPU milliseconds a request, and the size of the page in bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers, seconds, size = {"Cookie": f"sessionid={server.users[0].session}"}, [], 0
    for number in range(REQUESTS + WARM_UP_REQUESTS):
        if number == WARM_UP_REQUESTS:
            before = server.cpu()
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        seconds.append(time.perf_counter() - started)
        size = len(response.read())
        assert response.status == 200, (path, response.status)
    first_byte = statistics.median(seconds[WARM_UP_REQUESTS:])
    return 1e3 * first_byte, 1e3 * (server.cpu() - before) / REQUESTS, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--postgresql", action="store_true", help="in new databases of the local server")
    options = parser.parse_args()
    counts = {}
    for conversations in (20, 10_000):
        with contextlib.ExitStack() as stack:
            more = {"DATABASE_URL": stack.enter_context(postgres_database())} if options.postgresql else {}
            server = stack.enter_context(chatsite("http://127.0.0.1:9/v1", 1, "0", **more))
            long, last = json.loads(server.shell(ROWS.replace("CONVERSATIONS", str(conversations))).splitlines()[-1])
            paths = ["/", f"/c/{long}/", f"/c/{last}/", "/conversations/", "/search/?q=words", "/usage/", "/settings/"]
            counts[conversations] = list(
                json.loads(server.shell(QUERIES.format(paths=paths)).splitlines()[-1]).values()
            )
            if conversations == 20:
                continue
            print("| page | first byte ms | CPU ms | KB | queries | with 20 conversations | full scans |")
            print("|---|---|---|---|---|---|---|")
            for number, path in enumerate(paths):
                first, cpu, size = measure_page(server, path)
                queries, scans = counts[10_000][number]
                name = path.replace(long, "1,000 messages").replace(last, "the oldest conversation")
                fewer = counts[20][number][0]
                print(f"| {name} | {first:.1f} | {cpu:.1f} | {size / 1024:.0f} | {queries} | {fewer} | {len(scans)} |")
                for scan in scans:
                    print(f"    {scan}")


if __name__ == "__main__":
    main()
