"""Writing, sending, stopping, and what is kept when something goes wrong."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Browser, log_in
from tests.browser.page import answer, ask, box, button, question, send


def test_a_message_is_answered_and_stays_after_a_reload(browser: Browser, size: str) -> None:
    page = browser.open(size=size)
    expect(page.get_by_role("heading", name="What would you like to ask, alice?")).to_be_visible()
    ask(page, "/echo A **bold** answer\n\n- one\n- two")
    expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
    expect(page).to_have_title(re.compile("^/echo A"))
    details = re.compile(r"Demo model.*\d+ tokens.*\d s", re.DOTALL)
    for _ in range(2):
        expect(page.get_by_role("log", name="Conversation").get_by_role("article")).to_have_count(2)
        expect(question(page)).to_contain_text("/echo A")
        expect(answer(page)).to_have_attribute("data-status", "complete")
        expect(answer(page).locator("strong")).to_have_text("bold")
        expect(answer(page).locator("li")).to_have_count(2)
        expect(answer(page).locator(".answer-details")).to_contain_text(details)
        expect(page.locator("#conversations a[aria-current=page]")).to_contain_text("/echo A")
        expect(box(page)).to_have_value("")
        page.reload()


def test_a_conversation_goes_on_and_new_chat_starts_another(browser: Browser, size: str) -> None:
    page = browser.open(size=size)
    ask(page, "/echo first")
    address = page.url
    ask(page, "/echo second")
    assert page.url == address
    expect(page.get_by_role("article")).to_have_count(4)
    page.get_by_role("link", name="New chat").click()
    expect(page.get_by_role("article")).to_have_count(0)
    page.go_back()
    expect(page).to_have_url(address)
    expect(page.get_by_role("article")).to_have_count(4)


def test_stop_stands_in_place_of_send_and_keeps_the_text(browser: Browser, size: str) -> None:
    page = browser.open(size=size)
    send(page, "/slow please")
    expect(answer(page).locator(".markdown")).to_contain_text("This")
    expect(button(page, "Send")).to_have_count(0)
    if size == "desktop":
        page.keyboard.press("Escape")
    else:
        button(page, "Stop").click()
    expect(answer(page)).to_have_attribute("data-status", "stopped")
    expect(answer(page)).to_contain_text("You stopped this answer.")
    expect(answer(page)).to_contain_text("This")
    expect(button(page, "Stop")).to_have_count(0)
    expect(button(page, "Continue")).to_be_visible()
    expect(button(page, "Send")).to_be_visible()


def test_continue_goes_on_from_the_text(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/fail length")
    expect(answer(page)).to_have_attribute("data-status", "truncated")
    button(page, "Continue").click()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(answer(page).locator(".markdown")).to_contain_text(re.compile("^A lighthouse keeper.*fog to lift"))
    expect(page.get_by_role("article")).to_have_count(2)


def test_regenerate_puts_a_new_answer_in_place(browser: Browser) -> None:
    page = browser.open()
    first = ask(page, "/echo same").get_attribute("id")
    button(page, "Regenerate").click()
    expect(page.locator(f"[id='{first}']")).to_have_count(0)
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(page.get_by_role("article")).to_have_count(2)


def test_enter_sends_and_shift_enter_makes_a_line(browser: Browser) -> None:
    page = browser.open()
    box(page).press_sequentially("/echo one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box(page)).to_have_value("/echo one\ntwo")
    page.keyboard.press("Enter")
    expect(question(page)).to_contain_text("two")
    expect(box(page)).to_have_value("")
    expect(box(page)).to_be_focused()


def test_enter_never_sends_while_a_word_is_composed(browser: Browser) -> None:
    page = browser.open()
    box(page).fill("にほん")
    for composing in ("{isComposing: true}", "{keyCode: 229}"):
        page.evaluate(
            f"""document.querySelector("#prompt").dispatchEvent(new KeyboardEvent("keydown",
                {{key: "Enter", bubbles: true, cancelable: true, ...{composing}}}))"""
        )
    expect(page.get_by_role("article")).to_have_count(0)
    expect(box(page)).to_have_value("にほん")
    page.keyboard.press("Enter")
    expect(question(page)).to_contain_text("にほん")


def test_who_wants_ctrl_enter_gets_it(browser: Browser) -> None:
    page = browser.open(name="carol")
    box(page).press_sequentially("/echo a")
    page.keyboard.press("Enter")
    page.keyboard.type("b")
    expect(box(page)).to_have_value("/echo a\nb")
    page.keyboard.press("Control+Enter")
    expect(question(page)).to_contain_text("b")


def test_enter_on_a_touch_keyboard_makes_a_line(browser: Browser) -> None:
    page = browser.open(size="phone")
    box(page).press_sequentially("a")
    page.keyboard.press("Enter")
    page.keyboard.type("b")
    expect(box(page)).to_have_value("a\nb")
    expect(page.get_by_role("article")).to_have_count(0)


def test_two_quick_presses_send_once(browser: Browser) -> None:
    page = browser.open()
    box(page).fill("/echo once")
    button(page, "Send").dblclick()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(page.get_by_role("article")).to_have_count(2)


def test_the_box_grows_with_the_text(browser: Browser) -> None:
    page = browser.open()
    small = box(page).bounding_box()["height"]
    box(page).fill("line\n" * 6)
    assert box(page).bounding_box()["height"] > small + 60
    box(page).fill("line\n" * 200)
    assert box(page).bounding_box()["height"] < 400


def test_a_draft_of_each_conversation_survives_a_reload(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/echo hello")
    address = page.url
    box(page).fill("half a thought")
    page.goto("/")
    box(page).fill("another thought")
    page.goto(address)
    expect(box(page)).to_have_value("half a thought")
    page.goto("/")
    expect(box(page)).to_have_value("another thought")
    send(page, "/echo done")
    expect(question(page)).to_be_visible()
    page.goto("/")
    expect(box(page)).to_have_value("")


def test_a_text_survives_the_end_of_the_session(browser: Browser) -> None:
    page = browser.open()
    ask(page, "/echo hello")
    address = page.url
    page.context.clear_cookies(name="sessionid")
    send(page, "/echo do not lose me")
    expect(page.get_by_text("The text you were writing is kept")).to_be_visible()
    log_in(page, "alice")
    expect(page).to_have_url(address)
    expect(box(page)).to_have_value("/echo do not lose me")
    button(page, "Send").click()
    expect(question(page)).to_contain_text("do not lose me")


def test_a_page_that_is_too_old_asks_to_be_loaded_anew(browser: Browser) -> None:
    page = browser.open()
    page.context.clear_cookies(name="csrftoken")
    send(page, "/echo do not lose me")
    expect(page.get_by_role("alert")).to_contain_text("Your session has expired.")
    page.get_by_role("link", name="Reload").click()
    expect(page.get_by_role("alert")).to_be_empty()
    expect(box(page)).to_have_value("/echo do not lose me")
    button(page, "Send").click()
    expect(question(page)).to_contain_text("do not lose me")


def test_a_network_fault_keeps_the_text_and_the_same_key(browser: Browser) -> None:
    page = browser.open()
    keys = []
    page.on("request", lambda request: keys.append(request.post_data or "") if request.method == "POST" else None)
    page.route("**/c/", lambda route: route.abort())
    send(page, "/echo again")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(box(page)).to_have_value("/echo again")
    page.unroute("**/c/")
    button(page, "Send").click()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(page.get_by_role("alert").get_by_text("cannot be reached")).to_have_count(0)
    assert len(keys) == 2
    assert keys[0] == keys[1]
    browser.complaints.clear()


def test_a_fault_of_a_proxy_is_put_in_our_words(browser: Browser) -> None:
    page = browser.open()
    page.route("**/c/", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>"))
    send(page, "/echo x")
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong on this site.")
    expect(page.get_by_text("Bad Gateway")).to_have_count(0)
    expect(box(page)).to_have_value("/echo x")


def test_being_offline_is_said_and_taken_back(browser: Browser) -> None:
    page = browser.open()
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("You are offline.")
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_empty()


def test_too_long_a_text_is_counted_refused_and_kept(browser: Browser) -> None:
    page = browser.open()
    text = "x" * 32_001
    send(page, text)
    expect(page.get_by_text("32,001 / 32,000")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Too long: 32,001 of 32,000 characters.")
    expect(box(page)).to_have_value(text)


def test_our_limit_counts_down_and_then_one_press_sends(browser: Browser, size: str) -> None:
    name = f"mallory-{size}"
    page = browser.open(name=name, size=size)
    page.clock.install()
    ask(page, "/echo one")
    send(page, "/echo two")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Your limit on this site")
    expect(alert).to_contain_text("1 message per minute")
    expect(alert.get_by_role("timer")).to_have_text(re.compile(r"^\d+ s$|^1:00$"))
    expect(button(page, "Send")).to_be_disabled()
    expect(box(page)).to_have_value("/echo two")
    box(page).press("Enter" if size == "desktop" else "Control+Enter")
    expect(page.get_by_role("article")).to_have_count(2)
    page.clock.fast_forward("01:05")
    expect(alert).to_contain_text("You can send again.")
    expect(button(page, "Send")).to_be_enabled()
    browser.site.manage("limits", "set", name, "requests_per_minute", "plan")
    button(page, "Send").click()
    expect(page.get_by_role("article")).to_have_count(4)


def test_a_starter_fills_the_box(browser: Browser, size: str) -> None:
    page = browser.open(size=size)
    page.get_by_role("button", name="See what it can show").click()
    expect(box(page)).to_have_value("/markdown")
    expect(box(page)).to_be_focused()
