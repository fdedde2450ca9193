"""Long conversations and long lists are shown in pages, and every part of them can be reached."""

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


def add_conversation(user: User, length: int) -> Conversation:
    """A conversation with so many messages: "message-0-", "message-1-" and so on."""
    conversation = Conversation.objects.create(user=user, title="long")
    rows: list[Message] = []
    started = timezone.now() - dt.timedelta(days=1)
    for number in range(length):
        rows.append(
            Message(
                conversation=conversation,
                parent=rows[-1] if rows else None,
                role=("user", "assistant")[number % 2],
                content=f"message-{number}-",
                created_at=started + dt.timedelta(seconds=number),
            )
        )
    Message.objects.bulk_create(rows)
    conversation.head = rows[-1]
    conversation.save()
    return conversation


def numbers(page: str) -> list[int]:
    """The numbers of the messages on a page."""
    bodies = re.findall(r'-done"><p dir="auto">message-(\d+)-', page)
    return [int(number) for number in bodies]


def count_queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_a_long_conversation_opens_with_its_newest_messages(client: Client, alice: User) -> None:
    page = client.get(add_conversation(alice, 1000).get_absolute_url()).text
    assert numbers(page) == list(range(1000 - MESSAGES_PER_PAGE, 1000))
    assert len(page) < 400_000


def test_a_long_conversation_takes_as_many_queries_as_a_short_one(client: Client, alice: User) -> None:
    short, long = add_conversation(alice, 10), add_conversation(alice, 1000)
    assert count_queries(client, f"/c/{short.pk}/") == count_queries(client, f"/c/{long.pk}/")


def test_every_message_is_reached_once_by_scrolling_up(client: Client, alice: User) -> None:
    conversation = add_conversation(alice, 205)
    page = client.get(f"/c/{conversation.pk}/").text
    seen = numbers(page)
    while older := re.search(r'class="load-more older"[^>]*hx-get="([^"]+)"', page):
        page = client.get(older[1], headers={"HX-Request": "true"}).text
        assert "newer" not in page
        seen = numbers(page) + seen
    assert seen == list(range(205))


def page_around(client: Client, conversation: Conversation, content: str) -> str:
    target = Message.objects.get(content=content)
    return client.get(f"{conversation.get_absolute_url()}?at={target.pk}").text


def test_a_link_to_an_old_message_shows_the_messages_around_it(client: Client, alice: User) -> None:
    seen = numbers(page_around(client, add_conversation(alice, 300), "message-100-"))
    assert 100 in seen
    assert len(seen) == MESSAGES_PER_PAGE


def test_every_later_message_is_reached_once_by_scrolling_down(client: Client, alice: User) -> None:
    page = page_around(client, add_conversation(alice, 300), "message-100-")
    seen = numbers(page)
    while newer := re.search(r'class="load-more newer"[^>]*hx-get="([^"]+)"', page):
        page = client.get(newer[1], headers={"HX-Request": "true"}).text
        assert "older" not in page
        seen += numbers(page)
    assert seen == list(range(seen[0], 300))


def test_older_messages_have_a_page_for_browsers_without_scripts(client: Client, alice: User) -> None:
    page = client.get(add_conversation(alice, 100).get_absolute_url()).text
    older = re.search(r'class="load-more older" href="([^"]+)"', page)
    assert older
    assert min(numbers(client.get(older[1]).text)) < min(numbers(page))


def test_a_fragment_that_is_opened_as_a_page_redirects_to_the_page(client: Client, alice: User) -> None:
    page = client.get(add_conversation(alice, 100).get_absolute_url()).text
    fragment = re.search(r'hx-get="(/c/[^"]+)"', page)
    assert fragment
    assert client.get(fragment[1]).status_code == 302


@pytest.mark.parametrize("query", ["at=x", f"at={uuid.UUID(int=1)}", "at=", "at=\x00"])
def test_an_unknown_message_in_the_address_shows_the_newest_ones(client: Client, alice: User, query: str) -> None:
    conversation = add_conversation(alice, 10)
    assert numbers(client.get(f"/c/{conversation.pk}/?{query}").text) == list(range(10))


@pytest.mark.parametrize("query", [f"before={uuid.UUID(int=1)}", f"after={uuid.UUID(int=1)}"])
def test_a_part_next_to_an_unknown_message_is_empty(client: Client, alice: User, query: str) -> None:
    conversation = add_conversation(alice, 10)
    assert numbers(client.get(f"/c/{conversation.pk}/part/?{query}", headers={"HX-Request": "true"}).text) == []


def test_every_conversation_is_reached_by_scrolling_the_list(client: Client, alice: User) -> None:
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
def test_the_list_is_grouped_by_days_of_the_site_s_time_zone(
    client: Client, alice: User, settings: Any, zone: str
) -> None:
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
def test_an_invalid_place_in_the_list_is_its_start(client: Client, alice: User, query: str) -> None:
    Conversation.objects.create(user=alice, title="the newest one")
    assert "the newest one" in client.get(f"/conversations/?{query}").text


def test_the_first_and_last_possible_times_are_valid_places(client: Client) -> None:
    for moment in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"):
        assert client.get(f"/conversations/?before={moment}&id={uuid.uuid4()}").status_code == 200
