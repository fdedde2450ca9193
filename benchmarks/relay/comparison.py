"""Compare two versions of the site: both run on one core and are measured alternately.

In each run both servers start anew from a prepared database. Each measurement is made of one and then of the
other, and every second run begins with the other one, so that a machine whose speed changes affects both alike.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.candidates import (
    Checkout,
    PreparedDatabase,
    Server,
    chatsite,
    chatsite_with_statement_log,
    prepared_database,
)
from benchmarks.relay.client import Protocol
from benchmarks.relay.measurements import (
    START_USERS,
    StartRequest,
    count_statements,
    measure_starts,
    measure_streams,
    paced,
    warm_up,
)

PROTOCOLS: tuple[tuple[str, Protocol], ...] = (("text", "text"), ("ui", "ui"), ("page", "html"))
STARTS = {
    "text": StartRequest(protocol="text"),
    "ui": StartRequest(protocol="ui"),
    "page, new conversation": StartRequest(protocol="html"),
    "page, follow-up": StartRequest(protocol="html", follow_up=True),
}
STREAMS = (50, 200)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many runs, seconds of a stream, and answers for the cost of a start."""

    runs: int
    seconds: int
    starts: int


FULL = Plan(runs=5, seconds=10, starts=200)
QUICK = Plan(runs=3, seconds=5, starts=50)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """`measure` gives the value of each metric, lower is better."""

    name: str
    measure: Callable[[Server], dict[str, float]]


class Comparison:
    """Measures `old` and `new` alternately on the core `core`; `server` is uvicorn or daphne."""

    def __init__(self, old: Checkout, new: Checkout, *, provider: str, core: str, server: str, plan: Plan) -> None:
        self.checkouts = {"old": old, "new": new}
        self.provider = provider
        self.core = core
        self.server = server
        self.plan = plan
        # By metric and measurement, by version: the value of each run.
        self.results: dict[tuple[str, str], dict[str, list[float]]] = {}

    def run(self) -> None:
        """Measure and print tables. What was measured is printed even if a run fails."""
        self.warn_about_static_files()
        self.print_statements()
        with contextlib.ExitStack() as stack:
            databases = {
                version: stack.enter_context(prepared_database(checkout, max(STREAMS)))
                for version, checkout in self.checkouts.items()
            }
            try:
                for number in range(self.plan.runs):
                    self.run_once(number, databases)
            finally:
                print_results(self.results)

    def run_once(self, number: int, databases: dict[str, PreparedDatabase]) -> None:
        versions = list(databases) if number % 2 == 0 else list(databases)[::-1]
        with contextlib.ExitStack() as stack:
            servers = {
                version: stack.enter_context(self.serve(version, database=databases[version])) for version in versions
            }
            for server in servers.values():
                for _, protocol in PROTOCOLS:
                    warm_up(server, protocol)
            for measurement in measurements(self.plan):
                for version, server in servers.items():
                    values = measurement.measure(server)
                    for metric, value in values.items():
                        by_version = self.results.setdefault((metric, measurement.name), {})
                        by_version.setdefault(version, []).append(value)
                    shown = ", ".join(f"{metric} {value:.1f}" for metric, value in values.items())
                    print(f"run {number + 1}, {measurement.name}, {version}: {shown}", file=sys.stderr, flush=True)

    def serve(self, version: str, database: PreparedDatabase) -> AbstractContextManager[Server]:
        checkout = self.checkouts[version]
        return chatsite(self.provider, 0, self.core, self.server, checkout=checkout, database=database)

    def warn_about_static_files(self) -> None:
        collected = {(each.root / "staticfiles" / "staticfiles.json").exists() for each in self.checkouts.values()}
        if len(collected) > 1:
            print("Warning: only one checkout has collected static files; pages differ for that.", file=sys.stderr)

    def print_statements(self) -> None:
        cells: dict[str, list[str]] = {name: [] for name in STARTS}
        for checkout in self.checkouts.values():
            with tempfile.TemporaryDirectory() as folder:
                log = Path(folder) / "statements"
                with chatsite_with_statement_log(
                    self.provider, START_USERS, self.core, log, checkout=checkout
                ) as server:
                    for name, request in STARTS.items():
                        counts = count_statements(server, log, request)
                        cells[name] += [str(counts.before_response), str(len(counts.statements))]
        print("SQL statements of one answer on SQLite, without transaction control\n")
        print("| start | old: before the response | until settled | new: before the response | until settled |")
        print("|---|---|---|---|---|")
        for name, row in cells.items():
            print(f"| {name} | {' | '.join(row)} |", flush=True)


def measurements(plan: Plan) -> Iterator[Measurement]:
    for name, request in STARTS.items():
        yield Measurement(name=f"start, {name}", measure=start_measure(request, plan.starts))
    for streams in STREAMS:
        for name, protocol in PROTOCOLS:
            yield Measurement(
                name=f"{streams} streams, {name}", measure=stream_measure(protocol, streams, plan.seconds)
            )


def start_measure(request: StartRequest, count: int) -> Callable[[Server], dict[str, float]]:
    def measure(server: Server) -> dict[str, float]:
        costs = measure_starts(server, request, count)
        return {
            "CPU ms an answer": costs.cpu,
            "ms until the provider is called": costs.provider,
            "ms to the first token": costs.first_token,
        }

    return measure


def stream_measure(protocol: Protocol, streams: int, seconds: int) -> Callable[[Server], dict[str, float]]:
    def measure(server: Server) -> dict[str, float]:
        costs = measure_streams(server, protocol, paced(streams, seconds))
        return {
            "CPU µs a token": costs.cpu,
            "ms to the first token": costs.first_token,
            "ms of a token, p50": costs.p50,
            "ms of a token, p99": costs.p99,
        }

    return measure


def print_results(results: dict[tuple[str, str], dict[str, list[float]]]) -> None:
    """Print a table for each metric. The ratio is that of the medians; in brackets is the range of the runs' ratios."""
    for metric in dict.fromkeys(metric for metric, _ in results):
        print(f"\n{metric}\n\n| | old: median (range) | new: median (range) | new / old (range) |\n|---|---|---|---|")
        for (each, name), values in results.items():
            if each != metric or len(values) < 2:
                continue
            old, new = values["old"], values["new"]
            ratios = [after / before for before, after in zip(old, new, strict=False)]
            ratio = f"{statistics.median(new) / statistics.median(old):.3f} ({min(ratios):.2f}-{max(ratios):.2f})"
            print(f"| {name} | {with_range(old)} | {with_range(new)} | {ratio} |", flush=True)


def with_range(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"
