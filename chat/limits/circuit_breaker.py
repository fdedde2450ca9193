"""A circuit breaker: do not call a service that does not answer."""

from __future__ import annotations

import threading
import time

FAILURES = 3
PROBE_SECONDS = 5.0


class CircuitBreaker:
    """Opens after `FAILURES` failures in a row. Then one call in `PROBE_SECONDS` tries again.

    `outages` counts how often the service stopped working.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try = 0.0
        self.outages = 0

    @property
    def is_failing(self) -> bool:
        return self._failures > 0

    def allows_call(self) -> bool:
        with self._lock:
            if self._failures < FAILURES:
                return True
            now = time.monotonic()
            if now < self._next_try:
                return False
            self._next_try = now + PROBE_SECONDS
            return True

    def record_failure(self) -> bool:
        """True if this failure opened the breaker."""
        with self._lock:
            self.outages += self._failures == 0
            self._failures += 1
            self._next_try = time.monotonic() + PROBE_SECONDS
            return self._failures == FAILURES

    def record_success(self) -> bool:
        """True if this success closed the breaker."""
        with self._lock:
            was_open = self._failures >= FAILURES
            self._failures = 0
            return was_open
