"""What an answer looks like while it grows and when it has ended, and what can be done with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser
from tests.browser.page import RUNNING, answer, ask, box, button, question, send, told, until

STUBBORN_CLIPBOARD = "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')) }"


def gap(page: Any) -> float:
    """Pixels between the window's lower edge and the end of the page."""
    return float(page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY"))


@pytest.mark.parametrize(
    ("fault", "status", "sentence", "steps"),
    [
        ("cut", "interrupted", "The connection to the model service was interrupted.", ["Retry", "Continue"]),
        ("503", "failed", "The model service is busy.", ["Retry"]),
        ("401", "failed", "The service is not set up correctly. The administrator has been told.", ["Retry"]),
        ("toolong", "failed", "This conversation is too long for the model. Start a new one.", []),
        ("filter", "filtered", "The model's content filter held this answer back.", []),
        ("length", "truncated", "The answer reached the length limit.", ["Continue"]),
        ("refuse", "refused", "The model declined to answer.", []),
        ("empty", "failed", "The model returned an empty answer.", ["Retry"]),
    ],
)
def test_every_end_has_its_words_and_its_next_step(
    browser: Browser, fault: str, status: str, sentence: str, steps: list[str]
) -> None:
    page = browser.open(name="erin")
    ask(page, f"/fail {fault}")
    for _ in range(2):
        expect(answer(page)).to_have_attribute("data-status", status)
        expect(answer(page).locator(".outcome")).to_contain_text(sentence)
        for name in ("Retry", "Continue"):
            expect(button(page, name)).to_have_count(1 if name in steps else 0)
        start_anew = answer(page).get_by_role("link", name="Start a new chat")
        expect(start_anew).to_have_count(1 if fault == "toolong" else 0)
        page.reload()


def test_a_busy_provider_is_not_our_limit_and_retry_waits_for_it(browser: Browser) -> None:
    page = browser.open(name="erin")
    page.clock.install()
    ask(page, "/fail 429")
    outcome = answer(page).locator(".outcome")
    expect(outcome).to_contain_text("Model provider")
    expect(page.get_by_text("Your limit on this site")).to_have_count(0)
    expect(button(page, "Retry")).to_be_disabled()
    expect(outcome.locator(".countdown")).to_have_text(re.compile(r"^\d s$"))
    expect(button(page, "Send")).to_be_enabled()
    page.clock.fast_forward(8000)
    expect(button(page, "Retry")).to_be_enabled()
    failed = answer(page).get_attribute("id")
    button(page, "Retry").click()
    expect(page.locator(f"[id='{failed}']")).to_have_count(0)
    expect(page.get_by_role("article")).to_have_count(2)


def test_markdown_looks_the_same_when_the_answer_ends(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/markdown")
    shown = answer(page).locator(".markdown")
    expect(shown.locator("h1")).to_have_text("A tour of Markdown")
    expect(shown.locator("table td")).to_have_count(6)
    expect(shown.locator("img, script, b")).to_have_count(0)
    streamed = shown.inner_text()
    page.reload()
    assert answer(page).locator(".markdown").inner_text() == streamed


def test_scrolling_follows_the_answer_until_the_reader_scrolls_up(browser: Browser, size: str, showcase: str) -> None:
    page = browser.open(showcase, size=size)
    jump = button(page, "Jump to latest")
    until(page, "document.documentElement.scrollHeight - innerHeight - scrollY < 5 && scrollY > 1000")
    expect(jump).to_be_hidden()
    send(page, "/think")
    expect(answer(page)).to_have_attribute("data-status", RUNNING)
    expect(answer(page).locator("table")).to_be_in_viewport()
    assert gap(page) < 200
    page.evaluate("scrollBy(0, -400)")
    expect(jump).to_be_visible()
    top = page.evaluate("scrollY")
    expect(answer(page)).to_have_attribute("data-status", "complete")
    assert page.evaluate("scrollY") == pytest.approx(top, abs=3)
    jump.click()
    expect(jump).to_be_hidden()
    assert gap(page) < 5


@pytest.mark.parametrize("secure", [True, False])
def test_copy_gives_the_markdown_and_the_code(browser: Browser, secure: bool) -> None:
    page = browser.open(permissions=["clipboard-read", "clipboard-write"])
    if not secure:
        page.evaluate(STUBBORN_CLIPBOARD)
    ask(page, "/echo A **bold** word\n\n```python\nprint('<hi>')\n```\n\nEnd")
    answer(page).get_by_role("button", name="Copy", exact=True).click()
    expect(told(page)).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "A **bold** word\n\n```python\nprint('<hi>')\n```\n\nEnd"
    copy_code = answer(page).get_by_role("button", name="Copy code")
    copy_code.click()
    expect(copy_code.locator("use")).to_have_attribute("href", "#i-check")
    assert page.evaluate("navigator.clipboard.readText()") == "print('<hi>')\n"
    question(page).get_by_role("button", name="Copy", exact=True).click()
    until(page, "navigator.clipboard.readText().then((text) => text.startsWith('/echo A **bold**'))")


def test_reasoning_is_folded_and_stays_as_the_reader_left_it(browser: Browser) -> None:
    page = browser.open()
    send(page, "/think")
    thoughts = answer(page).get_by_text("The person wants to see")
    summary = answer(page).get_by_text("Thinking")
    expect(summary).to_be_visible()
    expect(thoughts).to_be_hidden()
    summary.click()
    expect(thoughts).to_be_visible()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(thoughts).to_be_visible()
    page.reload()
    expect(thoughts).to_be_hidden()
    summary.click()
    expect(thoughts).to_be_visible()


def test_arrow_up_edits_the_last_message(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/echo first")
    ask(page, "/echo wrong")
    box(page).press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit your text")
    expect(editor).to_be_focused()
    expect(editor).to_have_value("/echo wrong")
    editor.press("Escape")
    expect(editor).to_have_count(0)
    question(page).get_by_role("button", name="Edit").click()
    editor.fill("/echo right")
    editor.press("Enter")
    expect(question(page)).to_contain_text("/echo right")
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(page.get_by_role("article")).to_have_count(4)
    page.reload()
    expect(question(page)).to_contain_text("/echo right")
    expect(page.get_by_role("article")).to_have_count(4)


def test_an_answer_goes_on_after_a_reload(browser: Browser) -> None:
    page = browser.open()
    send(page, "/think")
    expect(answer(page).locator("table")).to_be_visible()
    page.reload()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(answer(page).locator(".markdown")).to_contain_text("/help lists all commands")
    expect(answer(page).locator("table")).to_have_count(1)


def test_screen_readers_hear_start_and_end_but_not_each_word(browser: Browser) -> None:
    page = browser.open()
    expect(page.get_by_role("log", name="Conversation")).to_have_attribute("aria-live", "off")
    page.evaluate(
        """() => { window.heard = [];
        new MutationObserver(() => heard.push(document.querySelector("#status").textContent))
            .observe(document.querySelector("#status"), {childList: true}); }"""
    )
    ask(page, "/echo some words that are not read out one by one")
    until(page, "heard.includes('The answer is finished.')")
    heard = [text for text in page.evaluate("heard") if text]
    assert heard == ["The answer has started.", "The answer is finished."]


def test_the_model_is_told_to_wait_where_an_answer_runs(browser: Browser) -> None:
    page = browser.open()
    send(page, "/slow")
    expect(button(page, "Stop")).to_be_visible()
    box(page).fill("too early")
    box(page).press("Enter")
    expect(told(page)).to_have_text("Wait for the answer or stop it.")
    expect(box(page)).to_have_value("too early")
    expect(button(page, "Regenerate")).to_have_count(0)
    button(page, "Stop").click()
    expect(button(page, "Send")).to_be_visible()
    expect(box(page)).to_have_value("too early")


def test_the_message_box_can_be_used_without_losing_the_place(browser: Browser, showcase: str) -> None:
    page = browser.open(showcase)
    page.evaluate("scrollTo(0, 900)")
    box(page).click()
    page.keyboard.type("a question about this part")
    assert page.evaluate("scrollY") == pytest.approx(900, abs=3)
