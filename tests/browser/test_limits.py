"""Limits in a real browser, by a real clock."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser
from tests.browser.page import answer, ask, box, button, send
from tests.site import Site

PEOPLE = """
from chat.models import User
for name, limits in (
    ("trent", {"requests_per_day": 4, "requests_per_minute": None}),
    ("trudy", {"concurrent_answers": 1}),
    ("ted", {"requests_per_day": 1}),
):
    person = User.objects.create_user(name, password=f"{name}-password")
    for rule, value in limits.items():
        person.limit_overrides.create(rule=rule, value=value, reason="test")
"""


@pytest.fixture(scope="module", autouse=True)
def people(chat_site: Site) -> None:
    chat_site.shell(PEOPLE)


def test_what_is_left_is_shown_before_sending_and_after_every_answer(browser: Browser) -> None:
    page = browser.open(name="trent")
    left = page.locator("#limit-status")
    expect(left).to_contain_text("100 % of 4 messages per day left")
    ask(page, "/echo one")
    expect(left).to_contain_text("75 % of 4 messages per day left · resets at 00:00")
    page.reload()
    expect(left.get_by_role("meter")).to_have_attribute("value", "75")


def test_a_refusal_counts_down_to_zero_and_the_kept_text_is_sent_at_one_press(browser: Browser) -> None:
    busy, page = browser.open(name="trudy"), browser.open(name="trudy")
    send(busy, "/think")
    expect(button(busy, "Stop")).to_be_visible()
    send(page, "/echo kept")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Your limit on this site")
    expect(alert).to_contain_text("You already have 1 answer running.")
    expect(alert.locator("use")).to_have_attribute("href", "#i-clock")
    assert box(page).input_value() == "/echo kept"
    button(busy, "Stop").click()
    expect(answer(busy)).to_have_attribute("data-status", "stopped")
    expect(alert.get_by_role("timer")).to_have_text("You can send again.")
    expect(button(page, "Send")).to_be_enabled()
    button(page, "Send").click()
    expect(answer(page)).to_have_attribute("data-status", "complete")
    expect(answer(page)).to_contain_text("kept")
    expect(alert).to_be_empty()
    expect(box(page)).to_have_value("")


def test_the_provider_s_refusal_is_the_answer_s_and_ours_is_the_page_s(browser: Browser) -> None:
    page = browser.open(name="ted")
    ask(page, "/fail 429")
    outcome = page.locator("article .outcome")
    expect(outcome).to_contain_text("Model provider")
    expect(outcome).not_to_contain_text("Your limit")
    expect(outcome.locator("use").first).to_have_attribute("href", "#i-cloud")
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.locator("#limit-status")).to_contain_text("100 % of 1 message per day left")
    ask(page, "/echo the only one")
    send(page, "/echo one too many")
    ours = page.get_by_role("alert").locator(".refusal")
    expect(ours).to_contain_text("You have reached your limit of 1 message per day.")
    expect(ours.get_by_role("timer")).to_have_text(re.compile(r"^\d+:\d\d(:\d\d)?$"))
    expect(ours.get_by_role("link", name="See your usage")).to_be_visible()
    colours = [note.evaluate("note => getComputedStyle(note).backgroundColor") for note in (outcome, ours)]
    assert colours[0] != colours[1]
