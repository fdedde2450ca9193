"""The admin's own pages in a real browser: readable at every size, in both schemes, without a complaint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browser
from tests.browser.page import answer, button, send
from tests.site import Site

Violations = Callable[[Any], list[str]]

DASHBOARD = "/admin/chat/usagerecord/dashboard/"
ROWS = """
import datetime as dt, random, uuid
from django.contrib.auth.models import Group
from django.utils import timezone
from chat.models import Conversation, DailyUsage, Message, UsageRecord, User
from chat.models import site_day
rng = random.Random(5)
alice = User.objects.get(username="alice")
alice.groups.add(Group.objects.create(name="Engineering"))
for number in range(300):
    moment = timezone.now() - dt.timedelta(hours=rng.randrange(24 * 40))
    status = rng.choice(("complete", "complete", "complete", "stopped", "failed"))
    record = UsageRecord(
        user=rng.choice((alice, User.objects.get(username="bob"))), message_id=uuid.uuid4(),
        conversation_id=uuid.uuid4(), model=rng.choice(("gpt-4o", "gpt-4o-mini")), status=status,
        reason="upstream-busy" if status == "failed" else "", prompt_tokens=rng.randrange(9000),
        completion_tokens=rng.randrange(900), cost=rng.randrange(900000), first_token_ms=rng.randrange(100, 4000),
        created_at=moment, day=site_day(moment),
    )
    UsageRecord.objects.bulk_create([record])
    DailyUsage.objects.add_record(record)
chat = Conversation.objects.create(user=alice)
asked = Message.objects.create(conversation=chat, role="user", content="What is a ledger? " * 30)
chat.head = Message.objects.create(conversation=chat, parent=asked, role="assistant", content="x" * 300)
chat.save()
print(alice.pk, chat.pk)
"""
SCREENS: dict[str, dict[str, Any]] = {
    "wall": {"viewport": {"width": 1920, "height": 1080}},
    "laptop": {"viewport": {"width": 1280, "height": 800}},
    "tablet": {"viewport": {"width": 768, "height": 1024}},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def used(chat_site: Site) -> str:
    """The site with some weeks of use; returns alice's number and the id of a conversation of hers."""
    return chat_site.shell(ROWS)


def pages(used: str) -> list[str]:
    alice = used.split()[0]
    return [
        "/admin/",
        DASHBOARD,
        f"{DASHBOARD}?days=1&by=model",
        f"{DASHBOARD}?days=90&by=day",
        "/admin/chat/usagerecord/",
        "/admin/chat/usagerecord/running/?paused",
        "/admin/chat/usagerecord/health/",
        "/admin/chat/conversationreading/",
        f"/admin/chat/user/{alice}/limits/",
    ]


STOCK = ("user", "plan", "chatmodel", "limitoverride", "apikey", "usagerecord", "conversationreading")
FORMS = """
from django.contrib.auth.models import Group
from chat.accounts import api_keys
from chat.models import ApiKey, ChatModel, LimitOverride, Plan, User
alice = User.objects.get(username="alice")
if not ApiKey.objects.filter(user=alice):
    api_keys.create(alice, "laptop")
ruth, _ = User.objects.get_or_create(username="ruth")
LimitOverride.objects.get_or_create(user=ruth, rule="requests_per_day", defaults={"value": 9, "reason": "test"})
for model in (User, Plan, ChatModel, LimitOverride, ApiKey, Group):
    print(f"/admin/{model._meta.app_label}/{model._meta.model_name}/{model.objects.first().pk}/change/")
"""


def stock_pages(site: Site, alice: str) -> list[str]:
    """Lists, forms, history and deletion as Django makes them."""
    lists = [f"/admin/chat/{name}/" for name in STOCK] + ["/admin/auth/group/"]
    forms = [
        *site.shell(FORMS).split(),
        *(f"/admin/{name}/add/" for name in ("chat/user", "chat/plan", "chat/chatmodel", "auth/group")),
        "/admin/chat/limitoverride/add/",
        "/admin/password_change/",
    ]
    return [*lists, *forms, *(f"/admin/chat/user/{alice}/{page}/" for page in ("history", "delete", "password"))]


@pytest.mark.parametrize("screen", ["laptop", "phone"])
def test_axe_finds_nothing_on_the_stock_pages(browser: Browser, used: str, screen: str, violations: Violations) -> None:
    page = browser.open("/admin/", "sam", **SCREENS[screen])
    for path in stock_pages(browser.site, used.split()[0]):
        assert page.goto(path).status == 200, path
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        assert browser.complaints == [], path
        assert violations(page) == [], path


@pytest.mark.parametrize("screen", SCREENS)
def test_no_page_is_wider_than_its_screen_or_breaks_a_rule(
    browser: Browser, used: str, screen: str, violations: Violations
) -> None:
    page = browser.open("/admin/", "sam", **SCREENS[screen])
    for path in pages(used):
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        if screen in ("laptop", "phone"):
            assert violations(page) == [], path
    assert browser.complaints == []


@pytest.mark.parametrize("screen", ["laptop", "phone"])
def test_an_admin_reads_a_conversation_after_giving_a_reason(
    browser: Browser, used: str, screen: str, violations: Violations
) -> None:
    address = f"/admin/chat/conversationreading/read/{used.split()[1]}/"
    page = browser.open(address, "sam", **SCREENS[screen])
    expect(page.get_by_text("What is a ledger?")).to_have_count(0)
    page.get_by_label("Reason").fill("A complaint about this answer, ticket 17.")
    page.locator("form", has=page.get_by_label("Reason")).get_by_role("button").click()
    expect(page.get_by_text("What is a ledger?")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert browser.complaints == []
    assert violations(page) == []


def test_the_charts_are_drawn_and_say_their_numbers(browser: Browser, used: str) -> None:
    page = browser.open(f"{DASHBOARD}?days=30", "sam", **SCREENS["laptop"])
    charts = page.get_by_role("img")
    expect(charts).to_have_count(6)
    for number in range(6):
        box = charts.nth(number).bounding_box()
        assert box["width"] > 200
        assert box["height"] > 100
    bars = charts.first.locator("rect.a")
    heights = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().height)")
    assert max(heights) > 50
    colour = bars.first.evaluate("bar => getComputedStyle(bar).fill")
    assert colour != "rgb(0, 0, 0)"
    titles = charts.first.locator("title").all_text_contents()
    assert len(titles) == 30
    assert all("$" in title for title in titles)


def test_an_admin_finds_the_rows_behind_a_number(browser: Browser, used: str) -> None:
    page = browser.open("/admin/", "sam", **SCREENS["laptop"])
    page.get_by_role("link", name="Usage dashboard").click()
    page.get_by_role("link", name="90 days").click()
    page.get_by_role("link", name="By group").click()
    row = page.get_by_role("row").filter(has_text="Engineering")
    requests = row.get_by_role("cell").nth(1).inner_text()
    row.get_by_role("link", name="Engineering").click()
    expect(page.locator("dl.sums")).to_contain_text(f"Rows {requests}", use_inner_text=True)
    expect(page.locator("#changelist-filter")).to_contain_text("Engineering")


def test_an_admin_picks_days_of_their_own(browser: Browser, used: str) -> None:
    page = browser.open(DASHBOARD, "sam", **SCREENS["laptop"])
    page.get_by_label("From").fill("2026-01-01")
    page.get_by_label("to", exact=True).fill("2026-01-31")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Jan. 1, 2026 – Jan. 31, 2026")).to_be_visible()
    expect(page.get_by_text("No usage in this period.")).to_be_visible()


def test_a_number_downloads_as_a_sheet(browser: Browser, used: str) -> None:
    page = browser.open(f"{DASHBOARD}?days=90&by=user", "sam", **SCREENS["laptop"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename.startswith("usage-by-user-")


@pytest.mark.parametrize("screen", ["laptop", "phone"])
def test_an_admin_stops_somebodys_answer(browser: Browser, used: str, screen: str) -> None:
    person = browser.open("/", "erin")
    send(person, "/slow " + "word " * 200)
    expect(button(person, "Stop")).to_be_visible()
    page = browser.open("/admin/chat/usagerecord/running/", "sam", **SCREENS[screen])
    page.get_by_role("button", name="Stop erin").click(trial=True)
    page.get_by_role("button", name="Stop erin").click()
    expect(page.get_by_text("The answer of erin will stop.")).to_be_visible()
    expect(answer(person)).to_have_attribute("data-status", "stopped")
    expect(page.get_by_text("No answer is running.")).to_be_visible()
