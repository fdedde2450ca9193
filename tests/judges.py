"""Published clients, run in Node against an address: what each makes of what the site sends."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import require_service

HERE = Path(__file__).parent / "js"
DATA_LINES = ("ai2", "ai3", "react4x")
UI_MESSAGES = ("ai5", "ai6", "ai", "react")


def judge(client: str, jobs: Sequence[dict[str, Any]], timeout: float = 60) -> list[dict[str, Any]]:
    """The results of `tests/js/judge.js`, which describes jobs and steps. `timeout` is in seconds for all jobs."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").is_dir():
        require_service("the client packages are not installed: npm ci in tests/js")
    run = subprocess.run(
        [str(node), "judge.js"],
        cwd=HERE,
        input=json.dumps({"client": client, "jobs": list(jobs)}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
