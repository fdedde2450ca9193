"""The site as its own process, and people who use it over real sockets."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
SECRET = "test-only-" + "k" * 40


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


INHERITED = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
MEASURED = (*INHERITED, "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
"""What a site of this tree gets: its coverage is measured too. Another version's code is not ours to measure."""


class Site:
    """One installation in a folder of its own; `start` serves it, also several times over.

    `root` is the tree whose code it runs: this one, or that of another version.
    """

    def __init__(self, folder: Path, root: Path = ROOT, **env: str) -> None:
        self.folder = folder
        self.root = root
        self.env = {
            **{name: os.environ[name] for name in (MEASURED if root == ROOT else INHERITED) if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "tests.site_settings",
            "SECRET_KEY": SECRET,
            "HTTPS_ONLY": "0",
            "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3".replace("///", "////", 1),
            "PYTHONWARNINGS": "default",
            **env,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.people: list[Person] = []
        self.port = 0

    def manage(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    def shell(self, code: str) -> str:
        """What a few lines of Python print inside the project."""
        return self.manage("shell", "-v", "0", "-c", code).stdout.strip()

    def start(self, server: str = "daphne") -> str:
        """Serves on a free port and returns the base URL."""
        self.port = free_port()
        if server == "daphne":
            command = ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port), "chatsite.asgi:application"]
        else:
            command = ["-m", "uvicorn", "--port", str(self.port), "--log-level", "warning", "--no-proxy-headers"]
            command += ["--timeout-graceful-shutdown", "3", "chatsite.asgi:application"]
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *command], cwd=self.root, env=self.env, stdout=log, stderr=log)
        self.processes.append(process)
        self.wait_until_up(process)
        return self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        def is_up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.log}")
            with contextlib.suppress(httpx2.TransportError):
                return httpx2.get(f"{self.url}/healthz", verify=False).status_code == 200
            return False

        wait_until(is_up, 90, message=lambda: f"the server did not come up:\n{self.log}", interval=0.05)

    def signal(self, number: int, process: subprocess.Popen[bytes] | None = None) -> None:
        (process or self.processes[-1]).send_signal(number)

    def kill(self, number: int = -1) -> None:
        """Ends one process without a chance to save anything; by default the one that started last."""
        process = self.processes.pop(number)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for person in self.people:
            person.http.close()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def add_people(self, *names: str) -> None:
        self.shell(
            "from chat.models import User\n"
            f"for name in {names!r}:\n"
            "    staff = name == 'sam'\n"
            "    User.objects.create_user(name, password=name + '-password', is_staff=staff, is_superuser=staff)"
        )

    def person(self, name: str, url: str = "", **cookies: str) -> Person:
        """Someone at `url` (a proxy in front of the site), else at the process that started last."""
        self.people.append(Person(url or self.url, name, **cookies))
        return self.people[-1]


class Person:
    """Someone with a browser's cookies but no script. Logs in, unless `cookies` are given."""

    def __init__(self, url: str, name: str, **cookies: str) -> None:
        headers = {"Origin": url}
        self.http = httpx2.Client(base_url=url, timeout=30, headers=headers, cookies=cookies, verify=False)
        self.name = name
        if not cookies:
            self.log_in(f"{name}-password")

    def log_in(self, password: str) -> httpx2.Response:
        page = self.http.get("/accounts/login/")
        return self.http.post(
            "/accounts/login/",
            data={"username": self.name, "password": password, "csrfmiddlewaretoken": token_in(page.text)},
        )

    def csrf(self) -> str:
        return token_in(self.http.get("/accounts/login/").text)

    def post(self, path: str, data: dict[str, Any] | None = None, *, htmx: bool = True) -> httpx2.Response:
        headers = {"X-CSRFToken": self.csrf()}
        if htmx:
            headers["HX-Request"] = "true"
        return self.http.post(path, data=data or {}, headers=headers)

    def send(self, prompt: str, conversation: str = "", *, key: str | None = None, **fields: str) -> httpx2.Response:
        path = f"/c/{conversation}/messages/" if conversation else "/c/"
        return self.post(path, {"prompt": prompt, "client_key": key or str(uuid.uuid4()), **fields})

    @contextlib.contextmanager
    def watch(self, answer: str, protocol: str = "text", **headers: str) -> Iterator[httpx2.Response]:
        url = f"/m/{answer}/stream/?protocol={protocol}"
        with self.http.stream("GET", url, headers=headers) as response:
            yield response

    def answer(self, answer: str, protocol: str = "text") -> str:
        with self.watch(answer, protocol) as response:
            return response.read().decode()

    def ask(self, prompt: str, conversation: str = "") -> tuple[str, str, str]:
        """Conversation id, answer id and the text of the whole answer."""
        response = self.send(prompt, conversation)
        assert response.status_code == 200, response.text
        chat, answer = ids_in(response)
        return chat, answer, self.answer(answer)


def token_in(html: str) -> str:
    match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', html)
    assert match, "no CSRF token on the page"
    return match[1]


def ids_in(response: httpx2.Response) -> tuple[str, str]:
    """The conversation and the assistant message that a send answered with."""
    chat = re.search(r"/c/([0-9a-f-]{36})/", response.headers.get("HX-Push-Url", "") or response.text)
    answer = re.search(r'id="m-([0-9a-f-]{36})" data-role="assistant"', response.text)
    assert chat, response.text
    assert answer, response.text
    return chat[1], answer[1]
