"""Settings of the test run. `TEST_DATABASE_URL` and `TEST_REDIS_URL` choose the services."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "test-only-" + "k" * 40)
os.environ["HTTPS_ONLY"] = "0"
