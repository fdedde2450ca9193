"""The command `stream_doctor` names what keeps streams from arriving as they are sent."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tests import nginx
from tests.conftest import require_service
from tests.nginx import Nginx
from tests.site import ROOT, Site, free_port


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
    if not nginx.is_installed():
        require_service("nginx is not installed")
    site = make_site(HTTPS_ONLY="1", TRUSTED_PROXIES="1", ALLOWED_HOSTS="127.0.0.1")
    site.start("uvicorn")
    proxy = Nginx(tmp_path / "nginx", [site.port], **changes)
    try:
        result = site.manage("stream_doctor", proxy.url, "--insecure", check=False)
    finally:
        proxy.stop()
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
    if not nginx.is_installed():
        require_service("nginx is not installed")
    site = make_site(HTTPS_ONLY="1", TRUSTED_PROXIES="1", ALLOWED_HOSTS="127.0.0.1")
    ports = []
    for _ in range(2):
        site.start("uvicorn")
        ports.append(site.port)
    proxy = Nginx(tmp_path / "nginx", ports)
    try:
        result = site.manage("stream_doctor", proxy.url, "--insecure", check=False)
    finally:
        proxy.stop()
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
    site.wait_until_up(process)
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
