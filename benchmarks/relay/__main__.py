"""What relaying a token costs: this site beside a Next.js app, in turns. `make bench` runs it all.

The server has a core of its own; the model and the readers share the other. Every stream is
checked token by token. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.candidates import Server, build_peers, chatsite, cpu_of, free_port, has_peers, next_js
from benchmarks.relay.client import Protocol, Stream, open_page, read
from tests.services import RedisServer, postgres_database

RATE = 50
SECONDS = 10
RAMP = 0.02
"""Seconds from one person's question to the next one's."""
FLOOD_TOKENS = 2000

CANDIDATES: dict[str, tuple[str, Protocol]] = {
    "chatsite text": ("chatsite", "text"),
    "chatsite ui": ("chatsite", "ui"),
    "chatsite html": ("chatsite", "html"),
    "next route": ("next", "sse"),
    "next ai-sdk": ("next", "ui"),
}
WORKLOADS = {
    "flood50": (50, f"flood:{FLOOD_TOKENS}", FLOOD_TOKENS),
    **{f"paced{count}": (count, f"paced:{RATE}:{RATE * SECONDS}", RATE * SECONDS) for count in (50, 200, 500)},
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """CPU in microseconds a token, of the site and of the services beside it; latencies in milliseconds."""

    cpu: float
    postgres: float
    redis: float
    rate: float
    first: float
    p50: float
    p99: float


def warm(server: Server, protocol: Protocol) -> None:
    asyncio.run(_warm(server, protocol))


async def _warm(server: Server, protocol: Protocol) -> None:
    if protocol == "html":
        for person in server.people:
            await open_page(server.url(protocol), person)
    await _all(server, protocol, "flood:20", 3)


def measure(server: Server, protocol: Protocol, workload: str) -> Row:
    count, question, tokens = WORKLOADS[workload]
    before, began = [server.cpu(), cpu_of("postgres"), cpu_of("redis-server")], time.monotonic()
    streams = asyncio.run(_all(server, protocol, question, count))
    after, took = [server.cpu(), cpu_of("postgres"), cpu_of("redis-server")], time.monotonic() - began
    cpu, *services = (now - then for now, then in zip(after, before, strict=True))
    heard = [stream.tokens() for stream in streams]
    for stream, each in zip(streams, heard, strict=True):
        assert stream.whole, "a stream was cut off"
        assert len(each) == tokens, f"{len(each)} of {tokens} tokens"
    all_asked = max(stream.asked for stream in streams)
    late = sorted(came - sent for each in heard for sent, came in each if sent > all_asked + 1) or [0.0]
    return Row(
        cpu=1e6 * cpu / (count * tokens),
        postgres=1e6 * services[0] / (count * tokens),
        redis=1e6 * services[1] / (count * tokens),
        rate=count * tokens / took if question.startswith("flood") else count * tokens / cpu,
        first=1e3 * statistics.median(each[0][1] - stream.asked for stream, each in zip(streams, heard, strict=True)),
        p50=1e3 * late[len(late) // 2],
        p99=1e3 * late[int(len(late) * 0.99)],
    )


async def _all(server: Server, protocol: Protocol, question: str, count: int, ramp: float = RAMP) -> list[Stream]:
    async def one(number: int) -> Stream:
        await asyncio.sleep(number * ramp)
        person = server.people[number] if server.people else None
        return await read(server.url(protocol), protocol, question, person, stream_at=server.url(protocol))

    return await asyncio.gather(*(one(number) for number in range(count)))


def idle(server: Server, protocol: Protocol, count: int) -> str:
    """What an open stream holds while the model is silent; then all readers leave."""

    async def hold() -> str:
        await _all(server, protocol, "flood:20", count // 10, ramp=0)  # until what all share is there
        resident, threads, connections = server.resident(), server.threads(), server.connections()

        async def one(number: int) -> None:
            await asyncio.sleep(number * RAMP)
            person = server.people[number] if server.people else None
            await read(server.url(protocol), protocol, "idle", person, leaving=count * RAMP * 1.2 + 6 - number * RAMP)

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        await asyncio.sleep(count * RAMP * 1.2 + 4)
        each = (server.resident() - resident) / count / 1024
        said = (
            f"{each:.0f} KiB a stream; threads {threads} before, {server.threads()} with {count} streams; "
            f"database handles {connections} before, {server.connections()} then"
        )
        await asyncio.gather(*tasks)
        return said

    return asyncio.run(hold())


def leaving(server: Server, protocol: Protocol, count: int, upstream_port: int) -> str:
    """Readers leave at random; how long until the last connection to the model is closed."""

    async def leave() -> float:
        async def one(number: int) -> None:
            await read(
                server.url(protocol), protocol, f"paced:{RATE}:3000", server.people[number], random.uniform(1, 4)
            )

        await asyncio.gather(*(one(number) for number in range(count)))
        began = time.monotonic()
        while _established(upstream_port) and time.monotonic() - began < 30:
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    return f"{asyncio.run(leave()):.2f} s after the last of {count} readers left, no answer runs"


def _established(port: int) -> int:
    listing = subprocess.run(["ss", "-Htn", "state", "established", f"dport = :{port}"], capture_output=True, text=True)
    return len(listing.stdout.splitlines())


@contextmanager
def upstream(core: str) -> Iterator[int]:
    port = free_port()
    command = ["taskset", "-c", core, sys.executable, "-m", "benchmarks.relay.upstream", str(port), str(RATE)]
    process = subprocess.Popen(command)
    try:
        time.sleep(1)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def shared_services() -> Iterator[dict[str, str]]:
    """The environment for an empty PostgreSQL database and a Redis of its own."""
    with postgres_database() as database, tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        redis.start()
        try:
            yield {"DATABASE_URL": database, "REDIS_URL": redis.url}
        finally:
            redis.stop()


def median(rows: list[Row], of: Callable[[Row], float]) -> float:
    return statistics.median(of(row) for row in rows)


SERVICES: dict[str, Callable[[Row], float]] = {
    "PostgreSQL": lambda row: row.postgres,
    "Redis": lambda row: row.redis,
}


def table(workload: str, results: dict[str, list[Row]], shared: bool) -> None:
    print(f"\n{workload}: {next(len(rows) for rows in results.values())} runs each, medians")
    print("| candidate | CPU µs/token | tokens/s a core | first token ms | p50 ms | p99 ms | × route | × ai-sdk |")
    print("|---|---|---|---|---|---|---|---|")
    costs = {name: median(rows, lambda row: row.cpu) for name, rows in results.items()}
    for name, rows in results.items():
        ratios = [f"{costs[name] / costs[peer]:.2f}" if peer in costs else "" for peer in ("next route", "next ai-sdk")]
        cells = [f"{costs[name]:.1f}", f"{1e6 / costs[name]:,.0f}"]
        cells += [f"{median(rows, of):.0f}" for of in (lambda r: r.first, lambda r: r.p50, lambda r: r.p99)]
        print(f"| {name} | {' | '.join([*cells, *ratios])} |")
        if shared:
            beside = [f"{word} {median(rows, of):.1f}" for word, of in SERVICES.items()]
            print(f"    CPU µs/token beside it: {', '.join(beside)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workloads", default=",".join((*WORKLOADS, "idle", "leaving")))
    parser.add_argument("--candidates", default=",".join(CANDIDATES))
    parser.add_argument("--server", choices=("uvicorn", "daphne"), default="uvicorn")
    parser.add_argument("--shared", action="store_true", help="on PostgreSQL and Redis in place of SQLite and memory")
    parser.add_argument("--processes", type=int, default=1, help="of the site, on one core together; with --shared")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    served, rest = str(cores[0]), str(cores[-1])
    os.sched_setaffinity(0, {cores[-1]})
    names = [name for name in options.candidates.split(",") if has_peers() or not name.startswith("next")]
    if any(name.startswith("next") for name in names):
        build_peers()
    with upstream(rest) as port:
        url = f"http://127.0.0.1:{port}/v1"

        @contextmanager
        def serving(kind: str, people: int) -> Iterator[Server]:
            with contextlib.ExitStack() as stack:
                if kind != "chatsite":
                    yield stack.enter_context(next_js(url, served))
                    return
                more = stack.enter_context(shared_services()) if options.shared else {}
                yield stack.enter_context(chatsite(url, people, served, options.server, options.processes, **more))

        for workload in options.workloads.split(","):
            if workload in WORKLOADS:
                results: dict[str, list[Row]] = {name: [] for name in names if _can(name, workload)}
                for _ in range(options.runs):
                    for name, rows in results.items():
                        kind, protocol = CANDIDATES[name]
                        with serving(kind, WORKLOADS[workload][0]) as server:
                            warm(server, protocol)
                            rows.append(measure(server, protocol, workload))
                table(workload, results, options.shared)
                continue
            print(f"\n{workload}")
            for name in names:
                kind, protocol = CANDIDATES[name]
                with serving(kind, 1000) as server:
                    warm(server, protocol)
                    if workload == "idle":
                        print(f"{name}: {idle(server, protocol, 1000)}", flush=True)
                    elif kind == "chatsite" and protocol != "html":
                        print(f"{name}: {leaving(server, protocol, 100, port)}", flush=True)


def _can(name: str, workload: str) -> bool:
    """500 streams are more than the peers' one core relays."""
    return workload != "paced500" or name.startswith("chatsite")


if __name__ == "__main__":
    main()
