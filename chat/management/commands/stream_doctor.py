from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.cookies import SimpleCookie
from itertools import pairwise
from ssl import CERT_NONE, SSLError, create_default_context
from typing import Any
from urllib.parse import urlsplit

from django.core import signing
from django.core.management.base import BaseCommand, CommandError

from chat.streaming.check import CHECK_EVENTS, CHECK_GAP, CHECK_SALT

TIMEOUT = 30
ASKED = 6


@dataclass
class Seen:
    """What one look at the stream showed; `arrivals` are seconds of each event since the request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cookies: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    comment: bool = False
    whole: bool = False

    @property
    def longest_gap(self) -> float:
        return max((later - earlier for earlier, later in pairwise(self.arrivals)), default=0.0)


class Command(BaseCommand):
    help = "Looks at a deployment as a browser would and names what hinders its streams, with the line that mends it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", help="such as https://chat.example.org")
        parser.add_argument("--insecure", action="store_true", help="do not check the certificate")

    def handle(self, *args: Any, **options: Any) -> None:
        parts = urlsplit(options["url"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError("The address must look like https://chat.example.org.")
        self.parts, self.insecure = parts, options["insecure"]
        try:
            seen = self._look()
            others = [self._look(brief=True) for _ in range(ASKED - 1)] if seen.status == 200 else []
            posted = self._post(seen) if seen.status == 200 else 0
        except (OSError, HTTPException) as error:
            raise CommandError(f"{options['url']} cannot be reached: {_reason(error)}.") from None
        found = self._findings(seen, others, posted)
        self.stdout.write(
            f"{len(seen.arrivals)} events, longest gap {seen.longest_gap:.2f} s "
            f"(sent every {CHECK_GAP} s), HTTP status {seen.status}"
        )
        for problem, remedy in found:
            self.stdout.write(f"PROBLEM  {problem}\n   FIX   {remedy}")
        if found:
            raise CommandError(f"{len(found)} found.")
        self.stdout.write("Streams arrive as they are sent.")

    def _connect(self) -> HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if self.parts.scheme == "http":
            return HTTPConnection(host, port, timeout=TIMEOUT)
        context = create_default_context()
        if self.insecure:
            context.check_hostname, context.verify_mode = False, CERT_NONE
        return HTTPSConnection(host, port, timeout=TIMEOUT, context=context)

    def _headers(self) -> dict[str, str]:
        return {
            "X-Stream-Check": signing.dumps("look", salt=CHECK_SALT),
            "Accept-Encoding": "gzip, deflate, br",
            "Accept": "text/event-stream",
        }

    def _look(self, brief: bool = False) -> Seen:
        """Reads the check stream; `brief` only its first event."""
        connection = self._connect()
        begun = time.monotonic()
        try:
            connection.request("GET", f"{self.parts.path.rstrip('/')}/stream-check", headers=self._headers())
            response = connection.getresponse()
            seen = Seen(status=response.status, headers={n.lower(): v for n, v in response.getheaders()})
            jar = SimpleCookie(response.headers.get("Set-Cookie", ""))
            seen.cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
            if response.status == 200 and "content-encoding" not in seen.headers:
                self._read(response, seen, begun, brief)
        finally:
            connection.close()
        return seen

    def _read(self, response: HTTPResponse, seen: Seen, begun: float, brief: bool) -> None:
        while line := response.readline():
            if line.startswith(b":"):
                seen.comment = True
            elif line.startswith(b"event: done"):
                seen.whole = True
            elif line.startswith(b"data: "):
                seen.arrivals.append(time.monotonic() - begun)
                if not seen.facts:
                    seen.facts = json.loads(line[6:])
                    if brief:
                        return

    def _post(self, seen: Seen) -> int:
        """A post as a browser of this address would make it."""
        origin = f"{self.parts.scheme}://{self.parts.netloc}"
        headers = self._headers() | {
            "Origin": origin,
            "Referer": f"{origin}/",
            "Cookie": seen.cookies,
            "X-CSRFToken": str(seen.facts.get("csrf", "")),
            "Content-Length": "0",
        }
        connection = self._connect()
        try:
            connection.request("POST", f"{self.parts.path.rstrip('/')}/stream-check", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _findings(self, seen: Seen, others: list[Seen], posted: int) -> list[tuple[str, str]]:
        if seen.status == 403:
            return [("The site did not accept this check.", "Run it where SECRET_KEY is the site's own.")]
        if seen.status in (301, 302, 307, 308):
            return [(f"The address redirects to {seen.headers.get('location', '?')}.", "Check that address instead.")]
        if seen.status == 400:
            return [("The site does not answer to this name.", f"ALLOWED_HOSTS={self.parts.hostname}")]
        if seen.status != 200:
            return [(f"The site answers with status {seen.status}.", "Look into its log.")]
        return [*self._transport(seen), *self._deployment(seen, others, posted)]

    def _transport(self, seen: Seen) -> list[tuple[str, str]]:
        found = []
        if encoding := seen.headers.get("content-encoding"):
            found.append((f"The stream is compressed ({encoding}).", "nginx: gzip off; for the site's location"))
            return found
        if seen.facts and not seen.facts["asgi"]:
            found.append(("The site runs under WSGI.", "uvicorn chatsite.asgi:application"))
        if not seen.whole or len(seen.arrivals) < CHECK_EVENTS:
            found.append(("The stream was cut off.", "nginx: proxy_read_timeout 75s;"))
        elif seen.arrivals[-1] - seen.arrivals[0] < CHECK_GAP * CHECK_EVENTS / 2:
            found.append(("A proxy holds the stream back and sends it in one piece.", "nginx: proxy_buffering off;"))
        elif seen.longest_gap > CHECK_GAP * 4:
            found.append((f"There was a gap of {seen.longest_gap:.1f} s.", "nginx: proxy_buffering off;"))
        if not seen.comment:
            found.append(("Heartbeats do not come through.", "Let the proxy pass the body on unchanged."))
        return found

    def _deployment(self, seen: Seen, others: list[Seen], posted: int) -> list[tuple[str, str]]:
        found = []
        processes = {each.facts["process"] for each in (seen, *others) if each.facts}
        if len(processes) > 1 and not seen.facts["shared"]:
            found.append(
                (f"{len(processes)} processes serve, each with a cache of its own.", "REDIS_URL=redis://host:6379/0")
            )
        if posted == 403:
            origin = f"{self.parts.scheme}://{self.parts.netloc}"
            found.append(("Posts from this address are refused (CSRF).", f"CSRF_TRUSTED_ORIGINS={origin}"))
        elif posted != 200:
            found.append((f"Posts are answered with status {posted}.", "Let the proxy pass POST on."))
        if self.parts.scheme == "https" and seen.facts and seen.facts["scheme"] != "https":
            found.append(
                ("The site does not know that it is behind HTTPS.", "TRUSTED_PROXIES=1, and X-Forwarded-Proto set")
            )
        return found


def _reason(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "its certificate is not trusted (--insecure skips the check)"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT} s"
    return type(error).__name__
