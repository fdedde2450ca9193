"""Prometheus metrics of this process: by status, model and limit, never by user."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
registry = CollectorRegistry()

generations = Counter("chatsite_generations", "Ended generations.", ("model", "status"), registry=registry)
tokens = Counter("chatsite_tokens", "Tokens used.", ("model", "kind"), registry=registry)
cost = Counter("chatsite_cost_microdollars", "Cost in micro-dollars.", ("model",), registry=registry)
first_token = Histogram(
    "chatsite_time_to_first_token_seconds",
    "From the start of a generation to its first text.",
    registry=registry,
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30),
)
per_token = Histogram(
    "chatsite_time_per_output_token_seconds",
    "Mean gap between the tokens of a generation.",
    registry=registry,
    buckets=(0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1),
)
decisions = Counter("chatsite_limiter_decisions", "Decisions of the limiter.", ("rule", "outcome"), registry=registry)
open_streams = Gauge("chatsite_open_streams", "Readers connected to this process.", registry=registry)
running = Gauge("chatsite_running_generations", "Generations of this process.", registry=registry)
log_lag = Histogram(
    "chatsite_log_lag_seconds",
    "From the arrival of a piece of text to its delivery to readers.",
    registry=registry,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


def record_generation(
    *,
    model: str,
    status: str,
    prompt: int,
    completion: int,
    microdollars: int | None,
    first_token_ms: int | None,
    duration_ms: int | None,
) -> None:
    """Count one ended generation."""
    generations.labels(model, status).inc()
    tokens.labels(model, "prompt").inc(prompt)
    tokens.labels(model, "completion").inc(completion)
    cost.labels(model).inc(microdollars or 0)
    if first_token_ms is not None:
        first_token.observe(first_token_ms / 1000)
        if completion > 1 and duration_ms is not None:
            per_token.observe(max(duration_ms - first_token_ms, 0) / 1000 / (completion - 1))


def exposition() -> bytes:
    return generate_latest(registry)
