"""The tests' site, on which OpenAI's host names lead to this machine: a fake server gets what OpenAI would."""

import socket
from typing import Any

from tests.site_settings import *  # noqa: F403

_resolve = socket.getaddrinfo


def _local(host: Any, *arguments: Any, **options: Any) -> Any:
    is_openai = isinstance(host, str) and host.endswith("api.openai.com")
    return _resolve("127.0.0.1" if is_openai else host, *arguments, **options)


socket.getaddrinfo = _local
