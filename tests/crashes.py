"""Kill servers and other processes at chosen times.

A delay here is the input of a test: the time at which something happens to a running answer. It waits for no condition.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.site import Person, Site


def call_after(seconds: float, action: Callable[[], object]) -> None:
    """Call `action` after so many seconds."""
    time.sleep(seconds)
    action()


def kill_after(site: Site, seconds: float) -> float:
    """Kill the process that started last after so many seconds. Returns the time of the kill (monotonic)."""
    time.sleep(seconds)
    killed = time.monotonic()
    site.kill()
    return killed


def connect_to(person: Person, url: str) -> None:
    """Use another server with the same cookies: cookies do not depend on the port."""
    person.http.base_url = url
    person.http.headers["Origin"] = url
