"""Keyboard, screen reader, small window, no script: the page is for everyone."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser
from tests.browser.page import answer, ask, box, button, question, send

Violations = Callable[[Any], list[str]]


def test_axe_finds_nothing_on_the_way_in(browser: Browser, size: str, violations: Violations) -> None:
    page = browser.open("/accounts/login/", None, size)
    assert violations(page) == []
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("wrong")
    button(page, "Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
    page = browser.open("/accounts/password/", "alice", size)
    assert violations(page) == []
    page.goto(f"/c/{uuid.uuid4()}/")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_in_a_conversation(
    browser: Browser, size: str, violations: Violations, showcase: str
) -> None:
    page = browser.open("/", "erin", size)
    assert violations(page) == []
    page = browser.open(showcase, "alice", size)
    expect(page.get_by_role("article").nth(17)).to_be_visible()
    send(page, "x" * 32_001)
    expect(page.get_by_role("alert")).to_contain_text("Too long")
    button(page, "Rename").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    box(page).fill("")
    box(page).press("ArrowUp")
    if size == "phone":
        button(page, "Menu").click()
    assert violations(page) == []


def test_axe_finds_nothing_while_an_answer_grows(browser: Browser, violations: Violations) -> None:
    page = browser.open("/", "erin")
    send(page, "/think")
    expect(answer(page).locator(".code").last).to_be_visible()
    assert violations(page) == []
    button(page, "Delete").click()
    expect(button(page, "Undo")).to_be_visible()
    assert violations(page) == []


def test_the_whole_flow_works_by_keyboard(browser: Browser) -> None:
    page = browser.open("/accounts/login/", None)
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("alice-password")
    page.keyboard.press("Enter")
    expect(box(page)).to_be_focused()
    page.keyboard.type("/echo by keyboard")
    page.keyboard.press("Enter")
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(box(page)).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    expect(answer(page).get_by_role("button", name="Copy", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    regenerate = button(page, "Regenerate")
    expect(regenerate).to_be_focused()
    assert regenerate.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    expect(question(page).locator(".tools")).to_have_css("opacity", "0")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(button(page, "Edit")).to_be_focused()
    expect(question(page).locator(".tools")).to_have_css("opacity", "1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Edit your text")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button(page, "Edit")).to_be_focused()


def test_the_first_tab_stop_leads_to_the_message_box(browser: Browser) -> None:
    page = browser.open(size="phone")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the message box")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(box(page)).to_be_focused()


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_is_cut_off_at_200_percent_or_on_the_smallest_screen(
    browser: Browser, width: int, showcase: str
) -> None:
    page = browser.open(showcase, viewport={"width": width, "height": 400})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box(page).fill("still usable")
    expect(button(page, "Send")).to_be_in_viewport()


def test_a_theme_overrides_the_devices_scheme(browser: Browser) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    dark = browser.open(name="dave", color_scheme="light").evaluate(background)
    assert dark == browser.open(name="alice", color_scheme="dark").evaluate(background)
    assert dark != browser.open(name="alice", color_scheme="light").evaluate(background)


def test_text_takes_its_own_direction(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/echo שלום עולם")
    expect(answer(page).locator("p[dir=auto]").first).to_have_css("direction", "rtl")


def test_it_works_without_a_script(browser: Browser, size: str) -> None:
    page = browser.open("/accounts/login/", None, size, java_script_enabled=False)
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill("bob-password")
    button(page, "Log in").click()
    expect(button(page, "Edit")).to_have_count(0)
    send(page, "/think without a script")
    expect(question(page)).to_contain_text("without a script")
    expect(page.get_by_role("link", name="Show the whole conversation")).to_be_visible()
    expect(answer(page).locator(".markdown")).to_contain_text("/help lists all commands")
    expect(answer(page).locator("table")).to_have_count(1)
    expect(button(page, "Send")).to_be_visible()
    page.get_by_role("link", name="Show the whole conversation").click()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    send(page, "/echo second")
    expect(answer(page).locator(".markdown")).to_contain_text("second")
    if size == "phone":
        button(page, "Menu").click()
    page.get_by_role("navigation").get_by_role("link").filter(has_text="without a script").first.click()
    expect(page.get_by_role("article")).to_have_count(4)
    button(page, "Rename").click()
    page.get_by_role("textbox", name="Title").fill("Renamed plainly")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Renamed plainly")).to_be_visible()
    button(page, "Delete").click()
    button(page, "Undo").click()
    expect(page.get_by_role("article")).to_have_count(4)


def test_an_answer_can_be_stopped_without_a_script(browser: Browser) -> None:
    page = browser.open(name="bob", java_script_enabled=False)
    box(page).fill("/slow")
    button(page, "Send").click(no_wait_after=True)
    button(page, "Stop").click()
    expect(answer(page)).to_have_attribute("data-status", "stopped")


def test_a_refused_text_is_kept_without_a_script(browser: Browser) -> None:
    page = browser.open(name="bob", java_script_enabled=False)
    send(page, "y" * 32_001)
    expect(page.get_by_role("alert")).to_contain_text("Too long")
    expect(box(page)).to_have_value("y" * 32_001)
