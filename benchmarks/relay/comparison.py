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
QUICK = Plan(runs=3, seconds=6, starts=60)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """`measure` gives the value of each metric, lower is better."""

    name: str
    measure: Callable[[Server], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Version:
    name: str
    checkout: Checkout
    database: PreparedDatabase


Results = dict[tuple[str, str], dict[str, list[float]]]
"""By metric and measurement, by version: the value of each run."""


def run(old: Checkout, provider: str, core: str, plan: Plan, runs: int | None, server: str) -> None:
    """Measure `old` against this checkout and print tables. What was measured is printed even if a run fails."""
    results: Results = {}
    with contextlib.ExitStack() as stack:
        versions = [
            Version(
                name=name,
                checkout=checkout,
                database=stack.enter_context(prepared_database(checkout, max(STREAMS))),
            )
            for name, checkout in (("old", old), ("new", Checkout()))
        ]
        warn_about_static_files([version.checkout for version in versions])
        print_statements(versions, provider, core)
        try:
            for number in range(runs or plan.runs):
                run_once(number, versions, provider, core, plan, server, results)
        finally:
            print_results(results)


def run_once(
    number: int, versions: list[Version], provider: str, core: str, plan: Plan, kind: str, results: Results
) -> None:
    order = versions if number % 2 == 0 else versions[::-1]
    with contextlib.ExitStack() as stack:
        servers = {
            version.name: stack.enter_context(
                chatsite(provider, 0, core, kind, checkout=version.checkout, database=version.database)
            )
            for version in order
        }
        for server in servers.values():
            for _, protocol in PROTOCOLS:
                warm_up(server, protocol)
        for measurement in measurements(plan):
            for name, server in servers.items():
                values = measurement.measure(server)
                for metric, value in values.items():
                    results.setdefault((metric, measurement.name), {}).setdefault(name, []).append(value)
                shown = ", ".join(f"{metric} {value:.1f}" for metric, value in values.items())
                print(f"run {number + 1}, {measurement.name}, {name}: {shown}", file=sys.stderr, flush=True)


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


def warn_about_static_files(checkouts: list[Checkout]) -> None:
    collected = {(checkout.root / "staticfiles" / "staticfiles.json").exists() for checkout in checkouts}
    if len(collected) > 1:
        print("Warning: only one checkout has collected static files; its pages cost less.", file=sys.stderr)


def print_statements(versions: list[Version], provider: str, core: str) -> None:
    counts: dict[str, list[str]] = {name: [] for name in STARTS}
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "statements"
            with chatsite_with_statement_log(provider, START_USERS, core, log, checkout=version.checkout) as server:
                for name, request in STARTS.items():
                    found = count_statements(server, log, request)
                    counts[name] += [str(found.before_response), str(len(found.statements))]
    print("\nSQL statements of one answer (SQLite, without transaction control)\n")
    print("| start | old, before the response | old, until settled | new, before the response | new, until settled |")
    print("|---|---|---|---|---|")
    for name, cells in counts.items():
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def print_results(results: Results) -> None:
    """A table for each metric. The ratio is that of the medians; in brackets the range over the single runs."""
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
