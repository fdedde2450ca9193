"""A conversation of a thousand messages opens as quickly as one of ten, and nothing of it is out of reach."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import MESSAGES_PER_PAGE, Conversation, Message, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def long_one(user: User, length: int) -> Conversation:
    conversation = Conversation.objects.create(user=user, title="long")
    rows: list[Message] = []
    begun = timezone.now() - dt.timedelta(days=1)
    for number in range(length):
        rows.append(
            Message(
                conversation=conversation,
                parent=rows[-1] if rows else None,
                role=("user", "assistant")[number % 2],
                content=f"message-{number}-",
                created_at=begun + dt.timedelta(seconds=number),
            )
        )
    Message.objects.bulk_create(rows)
    conversation.head = rows[-1]
    conversation.save()
    return conversation


def numbers(page: str) -> list[int]:
    bodies = re.findall(r'-done"><p dir="auto">message-(\d+)-', page)
    return [int(number) for number in bodies]


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def test_it_opens_with_the_newest_in_as_many_queries_as_a_short_one(client: Client, alice: User) -> None:
    short, long = long_one(alice, 10), long_one(alice, 1000)
    page = client.get(f"/c/{long.pk}/").text
    assert numbers(page) == list(range(1000 - MESSAGES_PER_PAGE, 1000))
    assert len(page) < 400_000
    assert queries(client, f"/c/{short.pk}/") == queries(client, f"/c/{long.pk}/")


def test_every_message_is_reached_once_by_scrolling_up(client: Client, alice: User) -> None:
    conversation = long_one(alice, 205)
    page = client.get(f"/c/{conversation.pk}/").text
    seen = numbers(page)
    while older := re.search(r'class="load-more older"[^>]*hx-get="([^"]+)"', page):
        page = client.get(older[1], headers={"HX-Request": "true"}).text
        assert "newer" not in page
        seen = numbers(page) + seen
    assert seen == list(range(205))


def test_a_message_far_up_is_shown_with_what_is_around_it(client: Client, alice: User) -> None:
    conversation = long_one(alice, 300)
    target = Message.objects.get(content="message-100-")
    page = client.get(f"/c/{conversation.pk}/?at={target.pk}").text
    seen = numbers(page)
    assert 100 in seen
    assert len(seen) == MESSAGES_PER_PAGE
    while newer := re.search(r'class="load-more newer"[^>]*hx-get="([^"]+)"', page):
        page = client.get(newer[1], headers={"HX-Request": "true"}).text
        assert "older" not in page
        seen += numbers(page)
    assert seen == list(range(seen[0], 300))


def test_without_a_script_the_link_leads_to_a_page_of_its_own(client: Client, alice: User) -> None:
    conversation = long_one(alice, 100)
    page = client.get(f"/c/{conversation.pk}/").text
    older = re.search(r'class="load-more older" href="([^"]+)"', page)
    assert older
    assert min(numbers(client.get(older[1]).text)) < min(numbers(page))
    before = re.search(r'hx-get="(/c/[^"]+)"', page)
    assert before
    assert client.get(before[1]).status_code == 302


@pytest.mark.parametrize("query", ["at=x", f"at={uuid.UUID(int=1)}", "at=", "at=\x00"])
def test_a_message_that_is_not_there_opens_the_newest(client: Client, alice: User, query: str) -> None:
    conversation = long_one(alice, 10)
    assert numbers(client.get(f"/c/{conversation.pk}/?{query}").text) == list(range(10))


@pytest.mark.parametrize("query", [f"before={uuid.UUID(int=1)}", f"after={uuid.UUID(int=1)}"])
def test_a_part_beside_a_message_that_is_not_there_is_empty(client: Client, alice: User, query: str) -> None:
    conversation = long_one(alice, 10)
    assert numbers(client.get(f"/c/{conversation.pk}/part/?{query}", headers={"HX-Request": "true"}).text) == []


def test_the_list_of_conversations_is_reached_to_its_end(client: Client, alice: User) -> None:
    now = timezone.now()
    for number in range(150):
        moment = now - dt.timedelta(days=number // 3)
        Conversation.objects.create(user=alice, title=f"chat-{number}-", updated_at=moment)
    with CaptureQueriesContext(connection) as asked:
        page = client.get("/").text
    assert len(asked) < 30
    seen, labels = re.findall(r"chat-\d+-", page), re.findall(r"<h2>([^<]+)</h2>", page)
    while more := re.search(r'class="row load-more"[^>]*hx-get="([^"]+)"', page):
        page = client.get(more[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).text
        seen += re.findall(r"chat-\d+-", page)
        labels += re.findall(r"<h2>([^<]+)</h2>", page)
    assert sorted(seen) == sorted(f"chat-{number}-" for number in range(150))
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/St_Johns"])
def test_the_list_is_parted_by_the_days_of_the_site(client: Client, alice: User, settings: Any, zone: str) -> None:
    settings.TIME_ZONE = zone

    def start_of(days_ago: int) -> dt.datetime:
        day = timezone.localdate() - dt.timedelta(days=days_ago)
        return timezone.make_aware(dt.datetime.combine(day, dt.time()))

    instant = dt.timedelta(microseconds=1)
    months_ago = start_of(29) - instant
    expected = ["Today", "ahead", "0", "Yesterday", "0 before", "1", "Last 7 days", "1 before", "6"]
    expected += ["Last 30 days", "6 before", "29", f"{timezone.localtime(months_ago):%B %Y}", "29 before"]
    Conversation.objects.create(user=alice, title="ahead", updated_at=timezone.now() + dt.timedelta(hours=1))
    for days in (0, 1, 6, 29):
        Conversation.objects.create(user=alice, title=f"{days}", updated_at=start_of(days))
        Conversation.objects.create(user=alice, title=f"{days} before", updated_at=start_of(days) - instant)
    page = client.get("/conversations/").text
    assert [heading or title for heading, title in re.findall(r"<h2>(.+?)</h2>|<bdi>(.+?)</bdi>", page)] == expected


@pytest.mark.parametrize("query", ["before=x&id=y", "before=9999-99-99&id=", "before=0001-01-01", "before=%00&id=%00"])
def test_a_place_in_the_list_that_is_nonsense_is_its_beginning(client: Client, alice: User, query: str) -> None:
    Conversation.objects.create(user=alice, title="the newest one")
    assert "the newest one" in client.get(f"/conversations/?{query}").text


def test_a_place_at_the_edge_of_time_breaks_nothing(client: Client) -> None:
    for moment in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"):
        assert client.get(f"/conversations/?before={moment}&id={uuid.uuid4()}").status_code == 200
