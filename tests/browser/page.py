"""The page as its users see it."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import expect

RUNNING = re.compile("pending|streaming")


def box(page: Any) -> Any:
    return page.get_by_role("textbox", name="Message")


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def until(page: Any, expression: str, seconds: float = 15) -> None:
    """Waits for an expression to hold. Playwright's own wait evaluates it in the page, which the policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def send(page: Any, text: str) -> None:
    box(page).fill(text)
    button(page, "Send").click()


def ask(page: Any, text: str) -> Any:
    """Sends, waits for the end and returns the answer's article."""
    before = page.locator("article[data-role=assistant]").count()
    send(page, text)
    expect(page.locator("article[data-role=assistant]")).to_have_count(before + 1)
    expect(answer(page)).not_to_have_attribute("data-status", RUNNING)
    expect(button(page, "Send")).to_be_visible()
    return answer(page)


def question(page: Any) -> Any:
    return page.locator("article[data-role=user]").last


def answer(page: Any) -> Any:
    return page.locator("article[data-role=assistant]").last


def told(page: Any) -> Any:
    """The live region that screen readers follow."""
    return page.locator("#status")
