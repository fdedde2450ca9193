"""Measurements of a running server: streams, the start of answers, SQL statements, idle streams, leaving readers."""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.candidates import Server, cpu_of
from benchmarks.relay.client import Protocol, Stream, User, open_page, read_answer

RATE = 50
"""Tokens a second of a paced answer."""
RAMP = 0.02
"""Seconds between the start of one stream and of the next."""
START_USERS = 20
"""Users who take turns when the start of answers is measured."""
WARM_UP_STARTS = 30
SETTLE_SECONDS = 0.5
"""After the last byte of an answer, until it is settled for sure."""
STATEMENT_ANSWERS = 3
"""Answers whose SQL statements are counted."""
NOT_COUNTED = re.compile("PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE", re.IGNORECASE)
"""SQL that is not counted as a statement: connection settings and transaction control."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """`streams` answers of `tokens` tokens at the same time; `prompt` tells the provider what to send."""

    streams: int
    prompt: str
    tokens: int


def paced(streams: int, seconds: int) -> Workload:
    """Streams of RATE tokens a second."""
    return Workload(streams=streams, prompt=f"paced:{RATE}:{RATE * seconds}", tokens=RATE * seconds)


def flood(streams: int, tokens: int) -> Workload:
    """Streams that the provider sends as fast as they are read."""
    return Workload(streams=streams, prompt=f"flood:{tokens}", tokens=tokens)


@dataclass(frozen=True, kw_only=True)
class StreamCosts:
    """CPU in microseconds a token, of the site and of the services beside it; latencies in milliseconds."""

    cpu: float
    postgres: float
    redis: float
    first_token: float
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class StartCosts:
    """Of one short answer: CPU milliseconds of the server from the request until the answer is settled; medians of the
    milliseconds until the provider has the request (`provider`) and until the client has the first token.
    """

    cpu: float
    provider: float
    first_token: float


@dataclass(frozen=True, kw_only=True)
class StatementCounts:
    """SQL statements of one answer: how many before the response, and all of them until it was settled."""

    before_response: int
    statements: list[str]


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """How an answer is started: with a new conversation, or (html only) with a follow-up message."""

    protocol: Protocol
    follow_up: bool = False


def warm_up(server: Server, protocol: Protocol) -> None:
    """Open a page for every user, and stream three short answers."""

    async def run() -> None:
        if protocol == "html":
            for user in server.users:
                await open_page(server.url(protocol), user)
        await _read_all(server, protocol, "flood:20", 3)

    asyncio.run(run())


def measure_streams(server: Server, protocol: Protocol, workload: Workload) -> StreamCosts:
    """CPU counts from the first request to the last byte. Raises AssertionError if a stream is incomplete."""
    clocks = (server.cpu, lambda: cpu_of("postgres"), lambda: cpu_of("redis-server"))
    before = [clock() for clock in clocks]
    streams = asyncio.run(_read_all(server, protocol, workload.prompt, workload.streams))
    cpu, postgres, redis = (clock() - then for clock, then in zip(clocks, before, strict=True))
    received = [_complete_tokens(stream, workload.tokens) for stream in streams]
    all_started = max(stream.requested for stream in streams)
    delays = sorted(came - sent for tokens in received for sent, came in tokens if sent > all_started + 1) or [0.0]
    total = workload.streams * workload.tokens
    first_tokens = (tokens[0][1] - stream.requested for stream, tokens in zip(streams, received, strict=True))
    return StreamCosts(
        cpu=1e6 * cpu / total,
        postgres=1e6 * postgres / total,
        redis=1e6 * redis / total,
        first_token=1e3 * statistics.median(first_tokens),
        p50=1e3 * delays[len(delays) // 2],
        p99=1e3 * delays[int(len(delays) * 0.99)],
    )


def measure_starts(server: Server, request: StartRequest, count: int) -> StartCosts:
    """Ask for `count` answers of one token, one after the other. The server and its pages must be warm."""
    return asyncio.run(_measure_starts(server, request, count))


async def _measure_starts(server: Server, request: StartRequest, count: int) -> StartCosts:
    users = [server.users[number % START_USERS] if server.users else None for number in range(count)]
    conversations = [""] * count
    if request.follow_up:
        conversations = [(await _start(server, request.protocol, user)).conversation for user in users]
    else:
        for user in users[:WARM_UP_STARTS]:
            await _start(server, request.protocol, user)
    await asyncio.sleep(SETTLE_SECONDS)
    before = server.cpu()
    streams = [
        await _start(server, request.protocol, user, conversation=conversation)
        for user, conversation in zip(users, conversations, strict=True)
    ]
    await asyncio.sleep(SETTLE_SECONDS)
    cpu = server.cpu() - before
    firsts = [_complete_tokens(stream, 1)[0] for stream in streams]
    return StartCosts(
        cpu=1e3 * cpu / count,
        provider=1e3
        * statistics.median(sent - each.requested for each, (sent, _) in zip(streams, firsts, strict=True)),
        first_token=1e3
        * statistics.median(came - each.requested for each, (_, came) in zip(streams, firsts, strict=True)),
    )


def count_statements(server: Server, log: Path, request: StartRequest) -> StatementCounts:
    """Count the statements in `log` of single answers. The provider waits, so that the response comes first.

    For html the response is that to the form; the stream's own request comes after it.
    """
    return asyncio.run(_count_statements(server, log, request))


async def _count_statements(server: Server, log: Path, request: StartRequest) -> StatementCounts:
    user = server.users[0]
    conversation = ""
    for _ in range(3):
        conversation = (await _start(server, request.protocol, user)).conversation
    counts = []
    for _ in range(STATEMENT_ANSWERS):
        await asyncio.sleep(SETTLE_SECONDS)
        stream = await _start(
            server,
            request.protocol,
            user,
            conversation=conversation if request.follow_up else "",
            prompt="delayed:300:1",
        )
        await asyncio.sleep(SETTLE_SECONDS)
        logged = [line.partition(" ") for line in log.read_text().splitlines()]
        counted = [
            (float(moment), statement)
            for moment, _, statement in logged
            if float(moment) > stream.requested and not NOT_COUNTED.match(statement)
        ]
        counts.append(
            StatementCounts(
                before_response=sum(moment <= stream.responded for moment, _ in counted),
                statements=[statement for _, statement in counted],
            )
        )
    # Background tasks of the server, such as its heartbeat, only add statements.
    return min(counts, key=lambda each: len(each.statements))


def measure_idle_streams(server: Server, protocol: Protocol, count: int) -> str:
    """Memory, threads and database handles of open streams while the provider is silent, as a sentence."""

    async def run() -> str:
        # Answers before, until threads, connections and caches that all streams share exist.
        await _read_all(server, protocol, "flood:20", count // 10, ramp=0)
        resident, threads, handles = server.resident(), server.threads(), server.database_handles()
        all_open = count * RAMP * 1.2

        async def hold(number: int) -> None:
            await asyncio.sleep(number * RAMP)
            user = server.users[number] if server.users else None
            await read_answer(server.url(protocol), protocol, "idle", user, leave_after=all_open + 6 - number * RAMP)

        tasks = [asyncio.create_task(hold(number)) for number in range(count)]
        await asyncio.sleep(all_open + 4)
        kib = (server.resident() - resident) / count / 1024
        result = (
            f"{kib:.0f} KiB a stream; threads: {threads} before, {server.threads()} with {count} streams; "
            f"database handles: {handles} before, {server.database_handles()} with the streams"
        )
        await asyncio.gather(*tasks)
        return result

    return asyncio.run(run())


def measure_leaving_readers(server: Server, protocol: Protocol, count: int, provider_port: int) -> str:
    """How long after the last of `count` readers left all requests to the provider are closed, as a sentence."""

    async def run() -> float:
        await asyncio.gather(
            *(
                read_answer(
                    server.url(protocol), protocol, f"paced:{RATE}:3000", user, leave_after=random.uniform(1, 4)
                )
                for user in server.users[:count]
            )
        )
        started = time.monotonic()
        while _connections_to(provider_port) and time.monotonic() - started < 30:
            await asyncio.sleep(0.02)
        return time.monotonic() - started

    return f"no answer runs {asyncio.run(run()):.2f} s after the last of {count} readers left"


def _connections_to(port: int) -> int:
    command = ["ss", "-Htn", "state", "established", f"dport = :{port}"]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


async def _start(
    server: Server, protocol: Protocol, user: User | None, *, conversation: str = "", prompt: str = "flood:1"
) -> Stream:
    url = server.url(protocol)
    if protocol == "html" and user and not user.csrf_token:
        await open_page(url, user)
    stream = await read_answer(url, protocol, prompt, user, conversation=conversation, stream_url=server.url(protocol))
    _complete_tokens(stream, 1)
    return stream


async def _read_all(server: Server, protocol: Protocol, prompt: str, count: int, ramp: float = RAMP) -> list[Stream]:
    async def read(number: int) -> Stream:
        await asyncio.sleep(number * ramp)
        user = server.users[number] if server.users else None
        return await read_answer(server.url(protocol), protocol, prompt, user, stream_url=server.url(protocol))

    return await asyncio.gather(*(read(number) for number in range(count)))


def _complete_tokens(stream: Stream, expected: int) -> list[tuple[float, float]]:
    assert stream.complete, "a stream was cut off"
    tokens = stream.tokens()
    assert len(tokens) == expected, f"{len(tokens)} of {expected} tokens"
    return tokens
