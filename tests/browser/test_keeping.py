"""Versions, search, long conversations, settings: in a real browser, at both sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser, log_in
from tests.browser.page import answer, ask, box, button, until

Violations = Callable[[Any], list[str]]
LONG = """
import datetime as dt
from django.utils import timezone
from chat.models import ChatModel, Conversation, Message, User
ChatModel.objects.get_or_create(name="second-model", defaults={"label": "Second model"})
user = User.objects.create_user("zoe", password="zoe-password")
for number in range(150):
    Conversation.objects.create(user=user, title=f"older {number}", updated_at=timezone.now()-dt.timedelta(days=number))
conversation = Conversation.objects.create(user=user, title="A long one")
rows = []
for number in range(200):
    text = f"message-{number}- about the harvest" if number == 20 else f"message-{number}- " + "words " * 60
    role = ("user", "assistant")[number % 2]
    rows.append(Message(conversation=conversation, parent=rows[-1] if rows else None, role=role, content=text,
        created_at=timezone.now() + dt.timedelta(seconds=number - 300)))
Message.objects.bulk_create(rows)
conversation.head = rows[-1]
conversation.save()
print(conversation.pk)
"""
# Each is repeated until nothing more is to be loaded.
SCROLL_TO_THE_FIRST_MESSAGE = """() => {
    scrollTo({top: 0, behavior: 'instant'})
    return !document.querySelector('.load-more.older')
}"""
SCROLL_TO_THE_OLDEST_CONVERSATION = """() => {
    const list = document.querySelector('#conversations')
    list.scrollTo(0, list.scrollHeight)
    return !list.querySelector('.load-more')
}"""


@pytest.fixture(scope="module")
def long_one(chat_site: Any) -> Iterator[str]:
    yield f"/c/{chat_site.shell(LONG)}/"
    chat_site.shell("from chat.models import ChatModel; ChatModel.objects.filter(name='second-model').delete()")


def test_versions_can_be_chosen_with_the_keyboard(browser: Browser, long_one: str, size: str) -> None:
    page = browser.open(name="erin", size=size)
    ask(page, "/echo first")
    ask(page, "/echo second")
    question = page.locator("article[data-role=user]").first
    if size == "desktop":
        question.hover()
    question.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit your text").fill("/echo changed")
    page.locator("article.editing").get_by_role("button", name="Send").click()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(page.get_by_role("article")).to_have_count(2)
    versions = page.get_by_role("group", name="Versions")
    expect(versions).to_contain_text("2/2")
    previous = versions.get_by_role("button", name="Previous version")
    previous.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_have_count(4)
    expect(versions).to_contain_text("1/2")
    expect(versions.get_by_role("button", name="Next version")).to_be_focused()
    page.reload()
    expect(page.get_by_role("article")).to_have_count(4)


def test_an_answer_is_regenerated_with_another_model(browser: Browser, long_one: str, size: str) -> None:
    page = browser.open(name="erin", size=size)
    ask(page, "/echo hello")
    button(page, "Regenerate with another model").click()
    page.get_by_role("button", name="Second model").click()
    expect(page.get_by_role("group", name="Versions")).to_contain_text("2/2")
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(answer(page).locator(".answer-details")).to_contain_text("Second model")
    expect(page.get_by_role("article")).to_have_count(2)


def test_a_match_is_found_while_typing_and_opens_at_the_message(
    browser: Browser, long_one: str, size: str, violations: Violations
) -> None:
    page = browser.open("/search/", "zoe", size)
    page.get_by_role("searchbox").press_sequentially("harves")
    hit = page.get_by_role("link").filter(has_text="about the harvest")
    expect(hit.locator("mark")).to_have_text("harvest")
    expect(page).to_have_url(re.compile(r"q=harves$"))
    assert violations(page) == []
    hit.click()
    expect(page.locator("article", has_text="about the harvest")).to_be_in_viewport()
    expect(page.get_by_role("link", name="Later messages")).to_have_count(1)


def test_earlier_messages_are_loaded_without_moving_the_text(browser: Browser, long_one: str, size: str) -> None:
    page = browser.open(long_one, "zoe", size)
    expect(page.get_by_text("message-199-")).to_be_in_viewport()
    expect(page.get_by_role("article")).to_have_count(40)
    first = page.locator(f"#{page.get_by_role('article').first.get_attribute('id')}")
    page.evaluate("scrollTo({top: 300, behavior: 'instant'})")
    place = first.evaluate("element => element.getBoundingClientRect().top")
    expect(page.get_by_role("article")).not_to_have_count(40)
    until(page, "!document.querySelector('.htmx-request')")
    assert abs(first.evaluate("element => element.getBoundingClientRect().top") - place) < 3


def test_typing_in_a_long_conversation_sends_no_requests(browser: Browser, long_one: str) -> None:
    page = browser.open(long_one, "zoe")
    until(page, SCROLL_TO_THE_FIRST_MESSAGE, 60)
    expect(page.get_by_role("article")).to_have_count(200)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    box(page).press_sequentially("no request")
    expect(box(page)).to_have_value("no request")
    assert requests == []


def test_older_conversations_are_listed_as_the_list_scrolls(browser: Browser, long_one: str, size: str) -> None:
    page = browser.open(long_one, "zoe", size)
    if size == "phone":
        button(page, "Menu").click()
    listed = page.locator("#conversations")
    until(page, SCROLL_TO_THE_OLDEST_CONVERSATION, 60)
    expect(listed.get_by_text("older 149")).to_have_count(1)
    expect(listed.get_by_role("link", name="Older conversations")).to_have_count(0)


def test_the_estimate_follows_the_text(browser: Browser, size: str) -> None:
    page = browser.open(name="bob", size=size)
    box(page).fill("word " * 400)
    expect(page.locator("#estimate")).to_have_text("about 500 tokens")
    box(page).fill("日本語" * 400)
    expect(page.locator("#estimate")).to_have_text("about 900 tokens")
    box(page).fill("")
    expect(page.locator("#estimate")).to_have_text("")


def test_shortcuts_and_the_dialog_that_lists_them(browser: Browser, long_one: str, violations: Violations) -> None:
    page = browser.open(long_one, "zoe")
    box(page).press_sequentially("really?")
    expect(box(page)).to_have_value("really?")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Shift+Escape")
    expect(box(page)).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_axe_finds_nothing_on_the_new_pages(browser: Browser, long_one: str, size: str, violations: Violations) -> None:
    page = browser.open("/settings/", "zoe", size)
    assert violations(page) == []
    page.get_by_label("Name of a new key").fill("laptop")
    button(page, "Create key").click()
    expect(page.get_by_text("It is not shown again.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Revoke laptop").first.click()
    for path in ("/settings/delete-all/", "/conversations/", "/search/?q=message"):
        page.goto(path)
        assert violations(page) == []
    page.goto(long_one)
    button(page, "Conversation settings").click()
    expect(page.get_by_label("Instructions for this conversation")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    button(page, "Regenerate with another model").last.click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_works_without_a_script(browser: Browser, long_one: str, size: str) -> None:
    page = browser.open("/accounts/login/", None, size, java_script_enabled=False)
    log_in(page, "zoe")
    page.goto(long_one)
    page.get_by_role("link", name="Earlier messages").click()
    expect(page.get_by_text("message-150-")).to_be_visible()
    page.goto("/search/")
    page.get_by_role("searchbox").fill("harvest")
    button(page, "Search").click()
    page.get_by_role("link").filter(has_text="about the harvest").click()
    expect(page.get_by_text("message-20-")).to_be_in_viewport()
    page.goto("/settings/")
    page.get_by_label("Instructions for every conversation").fill("Be brief.")
    button(page, "Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Instructions for every conversation")).to_have_value("Be brief.")
