"""Which addresses a link may lead to, and the host a reader should see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 2000
_SCHEME = re.compile(r"(https?)://|mailto:", re.IGNORECASE)
_MAILTO = re.compile(r"mailto:([^\s@?/\\]+@[^\s@?/\\]+)(\?.*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    url: str
    host: str

    def shown_in(self, text: str) -> bool:
        """Whether the text names the host, and not merely a longer name that contains it."""
        host = re.escape(self.host.removeprefix("www."))
        return re.search(rf"(?<![\w.-])(?:www\.)?{host}(?![\w-]|\.\w)", text.casefold()) is not None


def address(url: str) -> Address | None:
    """None for anything but an absolute http, https or mailto address.

    Refused too: white space, control and direction characters, backslashes (browsers
    read them as slashes) and user info (it dresses one host up as another).
    """
    url = url.strip()
    if len(url) > LONGEST or not url.isprintable() or " " in url or "\\" in url or not _SCHEME.match(url):
        return None
    if mail := _MAILTO.fullmatch(url):
        return Address(url=url, host=mail[1].casefold())
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not host or not usable or "@" in parts.netloc:
        return None
    return Address(url=url, host=host)
