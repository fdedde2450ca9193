"""Measure what an answer costs: this site beside a Next.js app, or beside another version of itself. `make bench`

The server has a core of its own; the provider and the clients share the other. Every stream is checked token by
token. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.relay import comparison
from benchmarks.relay.candidates import (
    ROOT,
    SERVER_COMMANDS,
    Checkout,
    Server,
    build_next,
    chatsite,
    chatsite_with_statement_log,
    has_npm,
    next_js,
    running_provider,
)
from benchmarks.relay.client import Protocol
from benchmarks.relay.measurements import (
    RATE,
    START_USERS,
    StartCosts,
    StartRequest,
    StreamCosts,
    Workload,
    count_statements,
    flood,
    measure_idle_streams,
    measure_leaving_readers,
    measure_starts,
    measure_streams,
    paced,
    warm_up,
)

SECONDS = 10
STARTS = 100
IDLE_STREAMS = 1000
LEAVING_READERS = 100

CANDIDATES: dict[str, tuple[str, Protocol]] = {
    "chatsite text": ("chatsite", "text"),
    "chatsite ui": ("chatsite", "ui"),
    "chatsite html": ("chatsite", "html"),
    "next route": ("next", "sse"),
    "next ai-sdk": ("next", "ui"),
}
WORKLOADS = {"flood50": flood(50, 2000), **{f"paced{streams}": paced(streams, SECONDS) for streams in (50, 200, 500)}}
OTHER_WORKLOADS = ("start", "statements", "idle", "leaving")


class Benchmark:
    """The chosen candidates, served one at a time on their core."""

    def __init__(self, options: argparse.Namespace, provider_port: int, core: str) -> None:
        self.options = options
        self.provider_port = provider_port
        self.provider = f"http://127.0.0.1:{provider_port}/v1"
        self.core = core
        self.candidates = {
            name: CANDIDATES[name] for name in options.candidates.split(",") if has_npm() or not name.startswith("next")
        }
        if any(kind == "next" for kind, _ in self.candidates.values()):
            build_next()

    @contextmanager
    def serve(self, kind: str, user_count: int) -> Iterator[Server]:
        with contextlib.ExitStack() as stack:
            if kind == "next":
                yield stack.enter_context(next_js(self.provider, self.core))
                return
            services = stack.enter_context(shared_services()) if self.options.shared else {}
            options = self.options
            yield stack.enter_context(
                chatsite(self.provider, user_count, self.core, options.server, options.processes, **services)
            )

    def run(self, workload: str) -> None:
        if workload in WORKLOADS:
            self.run_streams(workload, WORKLOADS[workload])
        elif workload == "start":
            self.run_starts()
        elif workload == "statements":
            self.run_statements()
        else:
            self.run_open_streams(workload)

    def run_streams(self, name: str, workload: Workload) -> None:
        # One core of the peers does not relay 500 streams.
        candidates = {
            each: kind for each, kind in self.candidates.items() if name != "paced500" or kind[0] == "chatsite"
        }
        results: dict[str, list[StreamCosts]] = {each: [] for each in candidates}
        for _ in range(self.options.runs):
            for each, (kind, protocol) in candidates.items():
                with self.serve(kind, workload.streams) as server:
                    warm_up(server, protocol)
                    results[each].append(measure_streams(server, protocol, workload))
        print_streams(name, results, self.options.shared)

    def run_starts(self) -> None:
        results: dict[str, list[StartCosts]] = {}
        for _ in range(self.options.runs):
            for name, (kind, protocol) in self.candidates.items():
                with self.serve(kind, START_USERS) as server:
                    warm_up(server, protocol)
                    for label, request in start_requests(name, protocol).items():
                        results.setdefault(label, []).append(measure_starts(server, request, STARTS))
        print(f"\nstart: {self.options.runs} runs of {STARTS} answers of one token, one after the other, medians")
        print("| candidate | CPU ms an answer | until the provider is called ms | first token ms |")
        print("|---|---|---|---|")
        for label, costs in results.items():
            cells = [median(costs, of) for of in (lambda c: c.cpu, lambda c: c.provider, lambda c: c.first_token)]
            print(f"| {label} | {' | '.join(f'{cell:.1f}' for cell in cells)} |", flush=True)

    def run_statements(self) -> None:
        print("\nstatements: SQL statements of one answer of one token on SQLite, without transaction control")
        print("| candidate | before the response | until settled |\n|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "statements"
            with chatsite_with_statement_log(self.provider, START_USERS, self.core, log) as server:
                for name, (kind, protocol) in self.candidates.items():
                    if kind == "next":
                        continue
                    for label, request in start_requests(name, protocol).items():
                        counts = count_statements(server, log, request)
                        print(f"| {label} | {counts.before_response} | {len(counts.statements)} |", flush=True)
                        if self.options.list_statements:
                            print("".join(f"    {statement}\n" for statement in counts.statements))

    def run_open_streams(self, workload: str) -> None:
        print(f"\n{workload}")
        for name, (kind, protocol) in self.candidates.items():
            if workload == "leaving" and (kind == "next" or protocol == "html"):
                continue
            with self.serve(kind, IDLE_STREAMS) as server:
                warm_up(server, protocol)
                if workload == "idle":
                    result = measure_idle_streams(server, protocol, IDLE_STREAMS)
                else:
                    result = measure_leaving_readers(server, protocol, LEAVING_READERS, self.provider_port)
                print(f"{name}: {result}", flush=True)


def start_requests(name: str, protocol: Protocol) -> dict[str, StartRequest]:
    """By label: a page starts an answer with a new conversation or with a follow-up message."""
    if protocol != "html":
        return {name: StartRequest(protocol=protocol)}
    return {
        f"{name}, new conversation": StartRequest(protocol=protocol),
        f"{name}, follow-up": StartRequest(protocol=protocol, follow_up=True),
    }


@contextmanager
def shared_services() -> Iterator[dict[str, str]]:
    """The environment for an empty PostgreSQL database and a new Redis server."""
    from tests.services import RedisServer, postgres_database

    with postgres_database() as database, tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        redis.start()
        try:
            yield {"DATABASE_URL": database, "REDIS_URL": redis.url}
        finally:
            redis.stop()


def median(costs: list[Any], of: Callable[[Any], float]) -> float:
    return statistics.median(of(each) for each in costs)


def print_streams(workload: str, results: dict[str, list[StreamCosts]], shared: bool) -> None:
    print(f"\n{workload}: {next(len(costs) for costs in results.values())} runs each, medians")
    print("| candidate | CPU µs/token | tokens/s a core | first token ms | p50 ms | p99 ms | × route | × ai-sdk |")
    print("|---|---|---|---|---|---|---|---|")
    cpu = {name: median(costs, lambda each: each.cpu) for name, costs in results.items()}
    for name, costs in results.items():
        ratios = [f"{cpu[name] / cpu[peer]:.2f}" if peer in cpu else "" for peer in ("next route", "next ai-sdk")]
        cells = [f"{cpu[name]:.1f}", f"{1e6 / cpu[name]:,.0f}"]
        cells += [f"{median(costs, of):.0f}" for of in (lambda c: c.first_token, lambda c: c.p50, lambda c: c.p99)]
        print(f"| {name} | {' | '.join([*cells, *ratios])} |", flush=True)
        if shared:
            postgres, redis = median(costs, lambda c: c.postgres), median(costs, lambda c: c.redis)
            print(f"    CPU µs/token beside it: PostgreSQL {postgres:.1f}, Redis {redis:.1f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, help="runs of each measurement (default 3; with --against 5, or 3 if quick)"
    )
    parser.add_argument("--workloads", default=",".join((*WORKLOADS, *OTHER_WORKLOADS)))
    parser.add_argument("--candidates", default=",".join(CANDIDATES))
    parser.add_argument("--server", choices=tuple(SERVER_COMMANDS), default="uvicorn")
    parser.add_argument("--shared", action="store_true", help="on PostgreSQL and Redis instead of SQLite and memory")
    parser.add_argument("--processes", type=int, default=1, help="of the site, on one core together; with --shared")
    parser.add_argument("--list-statements", action="store_true", help="print the SQL of the workload 'statements'")
    against = parser.add_argument_group("comparison with another version of the site")
    against.add_argument("--against", type=Path, metavar="PATH", help="root of another checkout; measures nothing else")
    against.add_argument("--against-python", default=sys.executable, metavar="PYTHON", help="runs the other checkout")
    against.add_argument("--checkout", type=Path, default=ROOT, metavar="PATH", help="the new version (default: this)")
    against.add_argument("--quick", action="store_true", help="shorter streams and fewer runs, under 10 minutes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    # So that SIGTERM also stops the servers and prints what was measured.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with running_provider(str(cores[-1]), RATE) as port:
        if options.against:
            old = Checkout(root=options.against.resolve(), python=options.against_python)
            new = Checkout(root=options.checkout.resolve())
            plan = comparison.QUICK if options.quick else comparison.FULL
            plan = replace(plan, runs=options.runs or plan.runs)
            provider = f"http://127.0.0.1:{port}/v1"
            comparison.Comparison(
                old, new, provider=provider, core=str(cores[0]), server=options.server, plan=plan
            ).run()
            return
        options.runs = options.runs or 3
        benchmark = Benchmark(options, port, str(cores[0]))
        for workload in options.workloads.split(","):
            benchmark.run(workload)


if __name__ == "__main__":
    main()
