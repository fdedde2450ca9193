"""The servers that take turns: this site as it is shipped, and two routes of a Next.js app."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.relay.client import Person, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
NEXT = Path(__file__).parent / "next"
PEOPLE = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from chat.accounts import api_keys
from chat.models import Plan, User
from chat.models import LIMIT_NAMES
from chat.accounts.session_store import SessionStore
Plan.objects.update(**dict.fromkeys(LIMIT_NAMES, 10**9))
made = []
for number in range({count}):
    user = User.objects.create(username=f"person-{{number}}")
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    made.append([api_keys.create(user, "bench")[1], session.session_key])
print(json.dumps(made))
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(kw_only=True)
class Server:
    """A running candidate: where each protocol is asked for, and the processes that serve, each on a port."""

    paths: dict[Protocol, str]
    processes: dict[int, subprocess.Popen[bytes]]
    people: list[Person] = field(default_factory=list)
    manage: Callable[..., str] = lambda *_arguments: ""

    def shell(self, code: str) -> str:
        """What a few lines of Python print inside the site's project."""
        return self.manage("shell", "-v", "0", "-c", code)

    @property
    def port(self) -> int:
        """Any."""
        return random.choice(list(self.processes))

    def url(self, protocol: Protocol) -> str:
        return f"http://127.0.0.1:{self.port}{self.paths[protocol]}"

    def pids(self) -> list[int]:
        return [pid for process in self.processes.values() for pid in _family(process.pid)]

    def cpu(self) -> float:
        """Seconds of the processes, their children and threads."""
        return sum(_cpu(pid) for pid in self.pids())

    def resident(self) -> int:
        """Bytes."""
        return sum(_resident(pid) for pid in self.pids())

    def threads(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids())

    def connections(self) -> int:
        """Open handles of the database file."""
        links = [
            os.readlink(path) for pid in self.pids() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()
        ]
        return sum(link.endswith(".sqlite3") for link in links)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(name: str) -> float:
    """Seconds of every process of this machine that is called so."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                total += _cpu(pid)
    return total


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


@contextmanager
def _started(command: list[str], cwd: Path, env: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Yields once something listens on the port."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def chatsite(
    upstream: str, people: int, core: str, server: str = "uvicorn", processes: int = 1, **more: str
) -> Iterator[Server]:
    """`more` is environment: DATABASE_URL, REDIS_URL. Login, limits, ledger and persistence are on."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "HTTPS_ONLY": "0",
        "SECRET_KEY": "relay-benchmark-" + "k" * 40,
        "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3".replace("///", "////", 1),
        "LOG_LEVEL": "warning",
        "OPENAI_BASE_URL": upstream,
        "OPENAI_API_KEY": "sk-bench",
        **more,
    }
    serve = {
        "uvicorn": ["uvicorn", "--no-proxy-headers", "--no-access-log", "--no-server-header", "--port"],
        "daphne": ["daphne", "-v", "0", "-b", "127.0.0.1", "-p"],
    }[server]

    def manage(*arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout

    try:
        manage("migrate", "--verbosity", "0")
        made = json.loads(manage("shell", "-v", "0", "-c", PEOPLE.format(count=people)).splitlines()[-1])
        with contextlib.ExitStack() as stack:
            started = {}
            for port in [free_port() for _ in range(processes)]:
                command = ["taskset", "-c", core, sys.executable, "-m", *serve, str(port), "chatsite.asgi:application"]
                started[port] = stack.enter_context(_started(command, ROOT, env, port))
            yield Server(
                paths={"text": "/api/chat?protocol=text", "ui": "/api/chat", "sse": "/api/chat", "html": "/"},
                processes=started,
                people=[Person(key=key, session=session) for key, session in made],
                manage=manage,
            )
    finally:
        shutil.rmtree(folder)


def has_peers() -> bool:
    return shutil.which("npm") is not None


def build_peers() -> None:
    env = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
    if not (NEXT / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NEXT, env=env, check=True)
    if not (NEXT / ".next" / "BUILD_ID").exists():
        subprocess.run(["npx", "next", "build"], cwd=NEXT, env=env, check=True)


@contextmanager
def next_js(upstream: str, core: str) -> Iterator[Server]:
    """Neither login, nor limits, nor persistence: only the relay."""
    port = free_port()
    env = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1", "UPSTREAM_URL": upstream, "NODE_ENV": "production"}
    command = ["taskset", "-c", core, "node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1"]
    with _started([*command, "-p", str(port)], NEXT, env, port) as process:
        yield Server(paths={"sse": "/tutorial", "ui": "/sdk"}, processes={port: process})
