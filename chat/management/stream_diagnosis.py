"""Find what delays or cuts the streams of a deployment: read its check stream and compare what arrives.

The view `stream-check` serves the check stream; its first event describes the process that answers.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.cookies import SimpleCookie
from itertools import pairwise
from ssl import CERT_NONE, SSLError, create_default_context
from typing import Any
from urllib.parse import urlsplit

from django.core import signing
from django.urls import reverse

from chat.streaming.check import CHECK_EVENTS, CHECK_GAP, CHECK_SALT

TIMEOUT = 30
REQUESTS = 6
"""So many requests are sent, to meet several processes where there are some."""

REDIRECTS = (301, 302, 307, 308)


class Unreachable(Exception):
    """The deployment did not answer; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong, and the line of configuration that fixes it."""

    text: str
    fix: str


@dataclass
class Probe:
    """What one request of the check stream received.

    `facts` is the first event, `arrivals` the seconds from the request to each event. `has_comment`: a heartbeat
    arrived. `is_complete`: the stream ended with its last event.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cookies: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    has_comment: bool = False
    is_complete: bool = False

    @property
    def longest_gap(self) -> float:
        """Seconds between two events."""
        return max((later - earlier for earlier, later in pairwise(self.arrivals)), default=0.0)


def diagnose(url: str, *, check_certificate: bool = True) -> tuple[Probe, list[Problem]]:
    """Request the check stream several times and post once; returns the first probe and the problems found.

    Takes a few seconds. Raises `ValueError` where `url` is not an http(s) address, and `Unreachable`.
    """
    deployment = Deployment(url, check_certificate=check_certificate)
    try:
        probe = deployment.probe()
        if probe.status != 200:
            return probe, [deployment.status_problem(probe)]
        others = [deployment.probe(first_event_only=True) for _ in range(REQUESTS - 1)]
        post_status = deployment.post(probe)
    except (OSError, HTTPException, json.JSONDecodeError) as error:
        raise Unreachable(_reason(error)) from None
    return probe, [
        *stream_problems(probe),
        *process_problems([probe, *others]),
        *deployment.post_problems(post_status),
        *deployment.scheme_problems(probe),
    ]


class Deployment:
    """A site at an address, as a browser reaches it."""

    def __init__(self, url: str, *, check_certificate: bool) -> None:
        self._parts = urlsplit(url)
        self._check_certificate = check_certificate
        self._port = self._parts.port
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(url)

    @property
    def origin(self) -> str:
        return f"{self._parts.scheme}://{self._parts.netloc}"

    def probe(self, first_event_only: bool = False) -> Probe:
        """Read the check stream. Raises `OSError` and `HTTPException`."""
        connection = self._connect()
        started = time.monotonic()
        try:
            connection.request("GET", self._path(), headers=self._headers())
            response = connection.getresponse()
            probe = Probe(status=response.status, headers={n.lower(): v for n, v in response.getheaders()})
            cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
            probe.cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
            if response.status == 200 and "content-encoding" not in probe.headers:
                _read_events(response, probe, started, first_event_only)
        finally:
            connection.close()
        return probe

    def post(self, probe: Probe) -> int:
        """The HTTP status of a form post as a browser at this address sends it, with the cookies of a probe."""
        headers = self._headers() | {
            "Origin": self.origin,
            "Referer": f"{self.origin}/",
            "Cookie": probe.cookies,
            "X-CSRFToken": str(probe.facts.get("csrf", "")),
            "Content-Length": "0",
        }
        connection = self._connect()
        try:
            connection.request("POST", self._path(), headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def status_problem(self, probe: Probe) -> Problem:
        """Why the site did not serve the check stream."""
        if probe.status == 403:
            return Problem(text="The site rejected this check.", fix="Run it with the SECRET_KEY of the site.")
        if probe.status in REDIRECTS:
            target = probe.headers.get("location", "?")
            return Problem(text=f"The address redirects to {target}.", fix="Check that address instead.")
        if probe.status == 400:
            return Problem(text="The site does not accept this host name.", fix=f"ALLOWED_HOSTS={self._parts.hostname}")
        return Problem(text=f"The site answers with status {probe.status}.", fix="Read its log.")

    def post_problems(self, status: int) -> list[Problem]:
        if status == 200:
            return []
        if status == 403:
            text = "Posts from this address are rejected (CSRF)."
            return [Problem(text=text, fix=f"CSRF_TRUSTED_ORIGINS={self.origin}")]
        return [Problem(text=f"Posts are answered with status {status}.", fix="Let the proxy forward POST requests.")]

    def scheme_problems(self, probe: Probe) -> list[Problem]:
        if self._parts.scheme != "https" or not probe.facts or probe.facts["scheme"] == "https":
            return []
        text = "The site does not know that it is behind HTTPS."
        return [Problem(text=text, fix="TRUSTED_PROXIES=1, and X-Forwarded-Proto set by the proxy")]

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=TIMEOUT)
        context = create_default_context()
        if not self._check_certificate:
            context.check_hostname, context.verify_mode = False, CERT_NONE
        return HTTPSConnection(host, port, timeout=TIMEOUT, context=context)

    def _path(self) -> str:
        return self._parts.path.rstrip("/") + reverse("stream-check")

    def _headers(self) -> dict[str, str]:
        return {
            "X-Stream-Check": signing.dumps("look", salt=CHECK_SALT),
            "Accept-Encoding": "gzip, deflate, br",
            "Accept": "text/event-stream",
        }


def stream_problems(probe: Probe) -> list[Problem]:
    """What happened to the events on their way."""
    if encoding := probe.headers.get("content-encoding"):
        return [Problem(text=f"The stream is compressed ({encoding}).", fix="nginx: gzip off; for the site's location")]
    problems = []
    if probe.facts and not probe.facts["asgi"]:
        problems.append(Problem(text="The site runs under WSGI.", fix="uvicorn chatsite.asgi:application"))
    if not probe.is_complete or len(probe.arrivals) < CHECK_EVENTS:
        problems.append(Problem(text="The stream was cut off.", fix="nginx: proxy_read_timeout 75s;"))
    elif probe.arrivals[-1] - probe.arrivals[0] < CHECK_GAP * CHECK_EVENTS / 2:
        text = "A proxy buffers the stream and sends it in one piece."
        problems.append(Problem(text=text, fix="nginx: proxy_buffering off;"))
    elif probe.longest_gap > CHECK_GAP * 4:
        text = f"There was a gap of {probe.longest_gap:.1f} s."
        problems.append(Problem(text=text, fix="nginx: proxy_buffering off;"))
    if not probe.has_comment:
        text = "Heartbeats do not come through."
        problems.append(Problem(text=text, fix="Let the proxy forward the body unchanged."))
    return problems


def process_problems(probes: list[Probe]) -> list[Problem]:
    """Several processes must share their cache."""
    processes = {probe.facts["process"]: probe.facts["shared"] for probe in probes if probe.facts}
    if len(processes) < 2 or all(processes.values()):
        return []
    text = f"{len(processes)} processes serve the site, each with a cache of its own."
    return [Problem(text=text, fix="REDIS_URL=redis://host:6379/0")]


def _read_events(response: HTTPResponse, probe: Probe, started: float, first_event_only: bool) -> None:
    while line := response.readline():
        if line.startswith(b":"):
            probe.has_comment = True
        elif line.startswith(b"event: done"):
            probe.is_complete = True
        elif line.startswith(b"data: "):
            probe.arrivals.append(time.monotonic() - started)
            if not probe.facts:
                probe.facts = json.loads(line[6:])
                if first_event_only:
                    return


def _reason(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "its certificate is not trusted (--insecure skips the check)"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, json.JSONDecodeError):
        return "its answer is not a check stream"
    return type(error).__name__
