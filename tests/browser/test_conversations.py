"""The list of conversations, and the actions on one conversation."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser
from tests.browser.page import answer, ask, box, button, until


def test_conversations_are_listed_by_day(browser: Browser) -> None:
    page = browser.open(name="bob")
    ask(page, "/echo the newest one")
    listed = page.get_by_role("navigation", name="Conversations")
    expect(listed.get_by_role("heading", name="Today")).to_be_visible()
    expect(listed.get_by_role("link").filter(has_text="the newest one")).to_have_attribute("aria-current", "page")


def test_a_later_message_moves_its_conversation_up(browser: Browser) -> None:
    page = browser.open(name="bob")
    ask(page, "/echo the older one")
    address = page.url
    page.get_by_role("link", name="New chat").click()
    ask(page, "/echo a newer one")
    newest = page.locator("#conversations a").first
    expect(newest).to_contain_text("a newer one")
    page.goto(address)
    ask(page, "/echo and more")
    expect(newest).to_contain_text("the older one")
    expect(newest).to_have_attribute("aria-current", "page")


def test_the_list_is_a_drawer_on_a_phone(browser: Browser) -> None:
    page = browser.open(name="bob", size="phone")
    listed = page.get_by_role("navigation", name="Conversations")
    expect(listed).to_be_hidden()
    button(page, "Menu").click()
    expect(listed).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    button(page, "Menu").click()
    listed.get_by_role("button", name="Close").click()
    expect(listed).to_be_hidden()


def test_a_title_is_edited_in_place(browser: Browser, size: str) -> None:
    page = browser.open(name="bob", size=size)
    ask(page, "/echo hello")
    box(page).fill("a draft")
    button(page, "Rename").click()
    title = page.get_by_role("textbox", name="Title")
    expect(title).to_be_focused()
    title.fill(f"A better <b>title</b> {size}")
    title.press("Enter")
    expect(page.get_by_role("heading", name=f"A better <b>title</b> {size}")).to_be_visible()
    expect(page).to_have_title(f"A better <b>title</b> {size} · Chatsite")
    expect(box(page)).to_have_value("a draft")
    page.reload()
    expect(page.get_by_role("heading", name=f"A better <b>title</b> {size}")).to_be_visible()


def test_a_deleted_conversation_can_be_restored(browser: Browser, size: str) -> None:
    page = browser.open(name="bob", size=size)
    ask(page, f"/echo precious {size}")
    address = page.url
    button(page, "Delete").click()
    expect(page.get_by_text("The conversation is deleted.")).to_be_visible()
    expect(page.locator("#conversations").get_by_text(f"precious {size}")).to_have_count(0)
    assert page.request.get(address).status == 404
    button(page, "Undo").click()
    expect(page).to_have_url(address)
    expect(page.get_by_role("article")).to_have_count(2)


def test_a_toast_can_be_closed(browser: Browser) -> None:
    page = browser.open(name="bob")
    ask(page, "/echo short-lived")
    button(page, "Delete").click()
    page.locator(".toast").get_by_role("button", name="Close").click()
    expect(page.locator(".toast")).to_have_count(0)
    page.reload()
    expect(page.locator(".toast")).to_have_count(0)


def test_a_chat_of_another_front_end_is_listed_and_updated_in_an_open_page(browser: Browser) -> None:
    key = browser.site.shell(
        "from chat.accounts import api_keys; from chat.models import User\n"
        "print(api_keys.create(User.objects.get(username='erin'), 'test')[1])"
    )

    def post(words: str) -> None:
        message = {"id": uuid.uuid4().hex, "role": "user", "parts": [{"type": "text", "text": f"/echo {words}"}]}
        body = {"id": "made-by-a-client", "messages": [message], "trigger": "submit-message"}
        url = f"{browser.site.url}/api/chat"
        assert httpx2.post(url, json=body, headers={"Authorization": f"Bearer {key}"}).status_code == 200

    page = browser.open("/", "erin")
    post("from elsewhere")
    page.get_by_role("navigation").get_by_role("link", name="/echo from elsewhere").click()
    expect(answer(page)).to_contain_text("from elsewhere")
    post("and again")
    expect(page.get_by_role("article")).to_have_count(4)
    expect(answer(page)).to_contain_text("and again")
    expect(answer(page)).to_have_attribute("data-status", "complete")


@pytest.mark.parametrize("late", ["hx-ws", "hx-sse", "chat.js"])
def test_the_page_works_when_a_script_loads_late(browser: Browser, late: str) -> None:
    context = browser.context("erin")
    held: list[Any] = []
    page = context.new_page()
    page.goto("/")
    box(page).fill("/long story")
    button(page, "Send").click()
    expect(answer(page)).to_have_attribute("data-status", "streaming")
    page.route(re.compile(re.escape(late)), lambda route: held.append(route))
    with page.expect_request(re.compile(re.escape(late))):
        page.goto(page.url, wait_until="commit")
    until(page, "document.readyState === 'interactive'")  # the page is parsed, the script is not there
    with page.expect_websocket() as socket:
        for route in held:
            route.continue_()
    assert socket.value.url.endswith("/ws/")
    said = answer(page).inner_text()
    expect(answer(page)).not_to_have_text(said)
    button(page, "Stop").click()
    expect(answer(page)).to_have_attribute("data-status", "stopped")
