"""Settings of the test run. `TEST_DATABASE_URL` and `TEST_REDIS_URL` choose the services."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "test-only-" + "k" * 40)
os.environ["HTTPS_ONLY"] = "0"
import pytest

from tests.fakes import fake_upstream  # noqa: F401


def require_service(reason: str) -> None:
    """Skips with a plain reason; fails where the run demands every service."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but {reason}")
    pytest.skip(reason)
