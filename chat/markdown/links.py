"""The URLs that a link may have, and the host that is shown with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MAX_URL_CHARS: Final = 2000
_SCHEME = re.compile(r"(https?)://|mailto:", re.IGNORECASE)
_MAILTO = re.compile(r"mailto:([^\s@?/\\]+@[^\s@?/\\]+)(\?.*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkTarget:
    """An allowed URL and its host; for `mailto:`, the mail address in place of the host."""

    url: str
    host: str

    def is_named_in(self, text: str) -> bool:
        """Whether the text contains the host as a whole name, not as part of a longer one."""
        host = re.escape(self.host.removeprefix("www."))
        return re.search(rf"(?<![\w.-])(?:www\.)?{host}(?![\w-]|\.\w)", text.casefold()) is not None


def link_target(url: str) -> LinkTarget | None:
    """The target of a link, or None if the URL is not an absolute http, https or mailto URL.

    Also not allowed: white space, control and direction characters, backslashes (browsers treat them as slashes)
    and user info (`https://good.example@evil.example/` hides the real host).
    """
    url = url.strip()
    if len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url or "\\" in url or not _SCHEME.match(url):
        return None
    if mail := _MAILTO.fullmatch(url):
        return LinkTarget(url=url, host=mail[1].casefold())
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not host or not valid_port or "@" in parts.netloc:
        return None
    return LinkTarget(url=url, host=host)
