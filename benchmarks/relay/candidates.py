"""The servers that are measured: this site as it is shipped, and two routes of a Next.js app.

Of the site only its public surface is used (HTTP, manage.py, models by name, environment variables), so that
other versions of it can be served as well.
"""

from __future__ import annotations

import contextlib
import ctypes
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

from benchmarks.relay.client import Protocol, User

ROOT = Path(__file__).resolve().parent.parent.parent
NEXT = Path(__file__).parent / "next"
STATEMENT_SETTINGS = Path(__file__).parent / "settings"
CREATE_USERS = """
import io, json
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
limits = (
    "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "tokens_per_month",
    "cost_per_day", "cost_per_month", "concurrent_answers",
)
apps.get_model("chat", "Plan").objects.update(**dict.fromkeys(limits, 10**9))
created = []
for number in range({count}):
    user = get_user_model().objects.create_user(f"person-{{number}}")
    client, key = Client(), io.StringIO()
    client.force_login(user)
    call_command("apikey", "create", user.username, "--name", "benchmark", stdout=key, stderr=io.StringIO())
    created.append([key.getvalue().strip(), client.cookies["sessionid"].value])
print(json.dumps(created))
"""
SERVER_COMMANDS = {
    "uvicorn": ["uvicorn", "--no-proxy-headers", "--no-access-log", "--no-server-header", "--port"],
    "daphne": ["daphne", "-v", "0", "-b", "127.0.0.1", "-p"],
}


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A version of the site: the folder of its manage.py, and the Python that runs it."""

    root: Path = ROOT
    python: str = sys.executable

    def manage(self, env: dict[str, str], *arguments: str) -> str:
        """Standard output of a manage.py command. Raises RuntimeError with its standard error."""
        command = [self.python, "manage.py", *arguments]
        result = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{self.root}: manage.py {arguments[0]} failed:\n{result.stderr[-2000:]}")
        return result.stdout


@dataclass(kw_only=True)
class Server:
    """A running candidate: the path of each protocol, and its processes by port."""

    paths: dict[Protocol, str]
    processes: dict[int, subprocess.Popen[bytes]]
    users: list[User] = field(default_factory=list)
    manage: Callable[..., str] = lambda *_arguments: ""

    def shell(self, code: str) -> str:
        """Standard output of Python code that runs inside the site's project."""
        return self.manage("shell", "-v", "0", "-c", code)

    @property
    def port(self) -> int:
        """The port of a random process."""
        return random.choice(list(self.processes))

    def url(self, protocol: Protocol) -> str:
        return f"http://127.0.0.1:{self.port}{self.paths[protocol]}"

    def pids(self) -> list[int]:
        return [pid for process in self.processes.values() for pid in _with_children(process.pid)]

    def cpu(self) -> float:
        """CPU seconds of the processes, their children and threads, to the nanosecond."""
        return sum(_process_clock(pid) for pid in self.pids())

    def resident(self) -> int:
        """Resident memory in bytes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids())

    def database_handles(self) -> int:
        """Open handles of the SQLite file."""
        links = [
            os.readlink(path) for pid in self.pids() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()
        ]
        return sum(link.endswith(".sqlite3") for link in links)


def _process_clock(pid: int) -> float:
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def cpu_of(name: str) -> float:
    """CPU seconds of all processes of this machine with this command name."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                total += _process_clock(pid)
    return total


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _with_children(int(child)))]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, *, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on `port`. Raises RuntimeError with its output if it does not within 60 seconds."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
        try:
            _wait_until_listening(process, port, timeout=60)
            yield process
        except RuntimeError as error:
            log.seek(0)
            error.add_note(log.read().decode(errors="replace")[-2000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args} does not listen on port {port}")


@dataclass(frozen=True, kw_only=True)
class PreparedDatabase:
    """A folder with the migrated SQLite database of a checkout, and the key and session of each of its users."""

    folder: Path
    users: list[list[str]]


@contextmanager
def prepared_database(checkout: Checkout, user_count: int) -> Iterator[PreparedDatabase]:
    """A database that servers of the checkout start from, each with its own copy."""
    with tempfile.TemporaryDirectory(prefix="relay-") as name:
        folder = Path(name)
        env = _environment(folder, {})
        yield PreparedDatabase(folder=folder, users=_prepare(checkout, env, user_count))


def _prepare(checkout: Checkout, env: dict[str, str], user_count: int) -> list[list[str]]:
    checkout.manage(env, "migrate", "--verbosity", "0")
    output = checkout.manage(env, "shell", "-v", "0", "-c", CREATE_USERS.format(count=user_count))
    users: list[list[str]] = json.loads(output.splitlines()[-1])
    return users


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "HTTPS_ONLY": "0",
        "SECRET_KEY": "relay-benchmark-" + "k" * 40,
        "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3".replace("///", "////", 1),
        "LOG_LEVEL": "warning",
        "OPENAI_API_KEY": "sk-bench",
        **more,
    }


@contextmanager
def chatsite(
    provider: str,
    user_count: int,
    core: str,
    server: str = "uvicorn",
    processes: int = 1,
    *,
    checkout: Checkout | None = None,
    database: PreparedDatabase | None = None,
    **more: str,
) -> Iterator[Server]:
    """The site with login, limits, usage ledger and stored messages, as it is shipped.

    `provider` is the provider's base URL, `core` the number of the core it runs on, `checkout` the version to
    serve (default: this one), `database` what it starts from (default: a new database with `user_count` users), and
    `more` are environment variables.
    """
    checkout = checkout or Checkout()
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    env = _environment(folder, {"OPENAI_BASE_URL": provider, **more})
    try:
        if database:
            shutil.copytree(database.folder, folder, dirs_exist_ok=True)
        users = database.users if database else _prepare(checkout, env, user_count)
        with contextlib.ExitStack() as stack:
            started = {}
            for port in [free_port() for _ in range(processes)]:
                command = [*_on_core(core), checkout.python, "-m", *SERVER_COMMANDS[server], str(port)]
                command.append("chatsite.asgi:application")
                started[port] = stack.enter_context(running(command, port, cwd=checkout.root, env=env))
            yield Server(
                paths={"text": "/api/chat?protocol=text", "ui": "/api/chat", "sse": "/api/chat", "html": "/"},
                processes=started,
                users=[User(key=key, session=session) for key, session in users],
                manage=lambda *arguments: checkout.manage(env, *arguments),
            )
    finally:
        shutil.rmtree(folder)


@contextmanager
def chatsite_with_statement_log(
    provider: str, user_count: int, core: str, log: Path, *, checkout: Checkout | None = None
) -> Iterator[Server]:
    """The same on SQLite, with every SQL statement written to `log`."""
    more = {
        "DJANGO_SETTINGS_MODULE": "statement_log_settings",
        "PYTHONPATH": str(STATEMENT_SETTINGS),
        "STATEMENT_LOG": str(log),
    }
    with chatsite(provider, user_count, core, checkout=checkout, **more) as server:
        yield server


def _on_core(core: str) -> list[str]:
    return ["taskset", "-c", core]


@contextmanager
def running_provider(core: str, rate: int) -> Iterator[int]:
    """The port of the provider, whose paced answers have `rate` tokens a second."""
    port = free_port()
    command = [*_on_core(core), sys.executable, "-m", "benchmarks.relay.provider", str(port), str(rate)]
    with running(command, port):
        yield port


def has_npm() -> bool:
    return shutil.which("npm") is not None


def build_next() -> None:
    env = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
    if not (NEXT / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NEXT, env=env, check=True)
    built = NEXT / ".next" / "BUILD_ID"
    changed = max(path.stat().st_mtime for path in (NEXT / "app").rglob("*.js"))
    if not built.exists() or built.stat().st_mtime < changed:
        subprocess.run(["npx", "next", "build"], cwd=NEXT, env=env, check=True)


@contextmanager
def next_js(provider: str, core: str) -> Iterator[Server]:
    """A Next.js app that relays and does nothing else: no login, no limits, no stored messages."""
    port = free_port()
    env = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1", "PROVIDER_URL": provider, "NODE_ENV": "production"}
    command = [*_on_core(core), "node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, cwd=NEXT, env=env) as process:
        yield Server(paths={"sse": "/tutorial", "ui": "/sdk"}, processes={port: process})
