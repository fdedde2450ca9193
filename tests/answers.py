"""The status of an answer, as its page shows it."""

from __future__ import annotations

import re

from tests.site import Person
from tests.waiting import wait_until


def status_of(person: Person, conversation: str, answer: str) -> str:
    page = person.http.get(f"/c/{conversation}/").text
    match = re.search(rf'id="m-{answer}" data-role="assistant" data-status="(\w+)"', page)
    assert match, page
    return match[1]


def wait_for_status(person: Person, conversation: str, answer: str, *wanted: str) -> str:
    """Wait until the answer has one of the statuses in `wanted`, and return it."""
    seen = ""

    def status() -> str:
        nonlocal seen
        seen = status_of(person, conversation, answer)
        return seen if seen in wanted else ""

    return wait_until(status, message=lambda: f"the status was still {seen}", interval=0.05)
