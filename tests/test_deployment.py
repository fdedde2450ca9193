"""The shipped nginx configuration in front of two web processes, PostgreSQL and Redis."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import require_service
from tests.fakes import FakeProvider, Gate, gated, text, tokens
from tests.services import RedisServer
from tests.site import ROOT, Person, Site, free_port, ids_in
from tests.waiting import wait_until


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
    signed = builder.not_valid_after(now + dt.timedelta(days=1)).add_extension(alternative, critical=False)
    pem = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "fullchain.pem").write_bytes(pem)
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class Nginx:
    """nginx from deploy/nginx.conf; only addresses and paths are put in the machine's place."""

    def __init__(self, folder: Path, backends: list[int], **changes: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        certificate(folder)
        servers = "\n".join(f"        server 127.0.0.1:{port} max_fails=2 fail_timeout=5s;" for port in backends)
        conf = (ROOT / "deploy" / "nginx.conf").read_text()
        places = {
            "include mime.types;": "include /etc/nginx/mime.types;",
            "pid /tmp/nginx.pid;": f"pid {folder}/nginx.pid;",
            "        server web:8000 max_fails=2 fail_timeout=5s;": servers,
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
            "/etc/nginx/tls": str(folder),
            **changes,
        }
        for old, new in places.items():
            assert old in conf, f"deploy/nginx.conf no longer has {old!r}"
            conf = conf.replace(old, new)
        (folder / "nginx.conf").write_text(conf)
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log", "-g", "daemon off;"]
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                httpx2.get(f"{self.url}/healthz", verify=False)
                return
            except httpx2.TransportError:
                if time.monotonic() > deadline:
                    raise RuntimeError((folder / "error.log").read_text()) from None
                time.sleep(0.05)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def deployment(
    make_site: Callable[..., Site], postgres: str, redis_server: RedisServer, tmp_path: Path
) -> Iterator[tuple[Site, Nginx]]:
    if shutil.which("nginx") is None:
        require_service("nginx is not installed")
    site = make_site(
        DATABASE_URL=postgres,
        REDIS_URL=redis_server.url,
        HTTPS_ONLY="1",
        TRUSTED_PROXIES="1",
        ALLOWED_HOSTS="127.0.0.1",
    )
    ports = []
    for _ in range(2):
        site.start("uvicorn")
        ports.append(site.port)
    nginx = Nginx(tmp_path / "nginx", ports)
    yield site, nginx
    nginx.stop()


def statuses(person: Person, chat: str) -> list[str]:
    page = person.http.get(f"/c/{chat}/").text
    return re.findall(r'data-role="assistant" data-status="(\w+)"', page)


def until(person: Person, chat: str, *wanted: str) -> str:
    def reached() -> str:
        last = statuses(person, chat)[-1]
        return last if last in wanted else ""

    return wait_until(reached, 20)


def saved_texts(site: Site, answers: list[str]) -> int:
    """How many of these answers have a checkpoint."""
    saved = f"Message.objects.filter(pk__in={answers!r}).exclude(content='')"
    return int(site.shell(f"from chat.models import Message; print({saved}.count())"))


@pytest.mark.timeout(300)
def test_the_whole_chat_works_through_the_proxy_and_survives_a_killed_process(
    deployment: tuple[Site, Nginx], upstream: FakeProvider
) -> None:
    site, nginx = deployment
    alice = site.person("alice", nginx.url)
    assert "__Host-sessionid" in alice.http.cookies

    # Tokens come one by one, not in one piece.
    upstream.enqueue(tokens(20, interval=0.1))
    _chat, answer = ids_in(alice.send("count"))
    arrivals = []
    with alice.watch(answer) as response:
        for _piece in response.iter_raw():
            arrivals.append(time.monotonic())
    assert len(arrivals) >= 8
    assert arrivals[-1] - arrivals[0] > 1

    # Viewers on either process see the same.
    gate = Gate()
    upstream.enqueue(gated(gate, before=["one ", "two "], after=["three"]))
    _chat, answer = ids_in(alice.send("go"))
    gate.wait_until_reached()
    with ThreadPoolExecutor(6) as pool:
        watching = [pool.submit(alice.answer, answer) for _ in range(6)]
        gate.open()
        assert {future.result() for future in watching} == {"one two three"}

    # Stop reaches the owner, whichever process takes the post.
    for _ in range(2):
        gate = Gate()
        upstream.enqueue(gated(gate, before=["kept "]))
        chat, answer = ids_in(alice.send("go"))
        gate.wait_until_reached()
        assert alice.post(f"/m/{answer}/stop/").status_code == 204
        assert until(alice, chat, "stopped")
        assert upstream.chats()[-1]["left"].wait(2)

    # A process dies in the middle: what was said stays, and the answer can go on.
    gate = Gate()
    upstream.enqueue(*[gated(gate, before=["before the crash "])] * 3)
    chats = [ids_in(alice.send("go")) for _ in range(3)]
    gate.wait_until_reached(3)
    answers = [answer for _chat, answer in chats]
    wait_until(lambda: saved_texts(site, answers) == len(answers), message="no checkpoint was saved")
    owners = dict(zip(chats, owner_pids(site, [answer for _chat, answer in chats]), strict=True))
    victim = next(process for process in site.processes if process.pid == owners[chats[0]])
    site.signal(signal.SIGKILL, victim)
    victim.wait()
    for chat, answer in (pair for pair in chats if owners[pair] == victim.pid):
        assert until(alice, chat, "interrupted")
        upstream.enqueue(text("and after"))
        continued = alice.post(f"/m/{answer}/continue/")
        assert continued.status_code == 200, continued.text
        assert alice.answer(ids_in(continued)[1]) == "before the crash and after"
    gate.open()
    for chat, answer in (pair for pair in chats if owners[pair] != victim.pid):
        assert until(alice, chat, "complete")
        assert alice.answer(answer) == "before the crash last"
    assert (
        site.shell(
            "from chat.models import UsageRecord as U, Message as M; print(U.objects.count() == M.objects."
            "filter(role='assistant').count())"
        )
        == "True"
    )


def owner_pids(site: Site, answers: list[str]) -> list[int]:
    printed = site.shell(
        f"from chat.models import Message\nfor pk in {answers!r}: print(Message.objects.get(pk=pk).owner.pid)"
    )
    return [int(line) for line in printed.split()]


def test_limits_are_one_for_all_processes(deployment: tuple[Site, Nginx]) -> None:
    site, nginx = deployment
    site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=5)")
    bob = site.person("bob", nginx.url)
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _n: bob.send("hello").status_code, range(8)))
    assert codes.count(200) == 5
    assert codes.count(429) == 3


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, ""),
        ({"proxy_buffering off;": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"}, "proxy_buffering"),
        (
            {"gzip off;": "gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_proxied any;"},
            "gzip off",
        ),
        ({"proxy_set_header X-Forwarded-Proto $scheme;": ""}, "redirects"),
        (
            {"proxy_set_header Host $http_host;": "proxy_set_header Host $host;"},
            "CSRF_TRUSTED_ORIGINS=https://127.0.0.1:",
        ),
    ],
    ids=["as shipped", "buffering", "gzip", "https unknown", "origin unknown"],
)
def test_the_stream_doctor_names_what_is_wrong(
    make_site: Callable[..., Site], tmp_path: Path, changes: dict[str, str], wrong: str
) -> None:
    if shutil.which("nginx") is None:
        require_service("nginx is not installed")
    site = make_site(HTTPS_ONLY="1", TRUSTED_PROXIES="1", ALLOWED_HOSTS="127.0.0.1")
    site.start("uvicorn")
    nginx = Nginx(tmp_path / "nginx", [site.port], **changes)
    try:
        result = site.manage("stream_doctor", nginx.url, "--insecure", check=False)
    finally:
        nginx.stop()
    assert "Traceback" not in result.stderr
    if wrong:
        assert result.returncode == 1
        assert wrong in result.stdout
    else:
        assert result.returncode == 0, result.stdout
        assert "Streams arrive as they are sent." in result.stdout


def test_the_stream_doctor_finds_processes_that_do_not_know_each_other(
    make_site: Callable[..., Site], tmp_path: Path
) -> None:
    if shutil.which("nginx") is None:
        require_service("nginx is not installed")
    site = make_site(HTTPS_ONLY="1", TRUSTED_PROXIES="1", ALLOWED_HOSTS="127.0.0.1")
    ports = []
    for _ in range(2):
        site.start("uvicorn")
        ports.append(site.port)
    nginx = Nginx(tmp_path / "nginx", ports)
    try:
        result = site.manage("stream_doctor", nginx.url, "--insecure", check=False)
    finally:
        nginx.stop()
    assert result.returncode == 1
    assert "REDIS_URL" in result.stdout


WSGI = """
import os, sys
from wsgiref.simple_server import make_server
os.environ["DJANGO_SETTINGS_MODULE"] = "chatsite.settings"
from django.core.wsgi import get_wsgi_application
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application()).serve_forever()
"""


def test_the_stream_doctor_knows_a_site_under_wsgi(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.port = free_port()
    with (site.folder / "server.log").open("ab") as log:
        command = [sys.executable, "-c", WSGI, str(site.port)]
        process = subprocess.Popen(command, cwd=ROOT, env=site.env, stdout=log, stderr=log)
    site.processes.append(process)
    site._wait_until_up(process)
    result = site.manage("stream_doctor", site.url, check=False)
    assert result.returncode == 1
    assert "WSGI" in result.stdout
    assert "uvicorn chatsite.asgi:application" in result.stdout


class WithoutComments(BaseHTTPRequestHandler):
    """A proxy that tidies streams up."""

    site = ""

    def do_GET(self) -> None:
        with httpx2.stream(self.command, self.site + self.path, headers=dict(self.headers.items())) as answer:
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Set-Cookie"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.end_headers()
            for line in answer.iter_lines():
                if not line.startswith(":"):
                    self.wfile.write(f"{line}\n".encode())

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        pass


def test_the_stream_doctor_misses_the_heartbeat(site: Site) -> None:
    handler = type("Handler", (WithoutComments,), {"site": site.url})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        result = site.manage("stream_doctor", f"http://127.0.0.1:{proxy.server_port}", check=False)
        proxy.shutdown()
    assert result.returncode == 1
    assert "Heartbeats do not come through." in result.stdout
    assert "1 found" in result.stderr


def test_one_line_says_that_nobody_answers(make_site: Callable[..., Site]) -> None:
    site = make_site()
    result = site.manage("stream_doctor", f"http://127.0.0.1:{free_port()}", check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
