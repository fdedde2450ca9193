"""Prepared queries give what the ORM gives, with the values of each call. They use private API of Django."""

from __future__ import annotations

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, models
from django.utils import timezone

from chat.infra.prepared_queries import Parameter, PreparedInsert, PreparedQuery, PreparedUpdate
from chat.models import Conversation, Message, UsageRecord, User

NAME = Parameter("name", models.CharField())
by_name = PreparedQuery(
    lambda: Conversation.objects.select_related("user").filter(user__username=NAME, deleted_at=None).order_by("title")
)
set_title = PreparedUpdate(
    lambda: (
        Conversation.objects.filter(user=Parameter("user", models.IntegerField()), deleted_at=None),
        {"title": Parameter("title", Conversation._meta.get_field("title")), "unread": True},
    )
)
insert = PreparedInsert(Message)


def conversations_of(user: User) -> list[tuple[str, str, str]]:
    return [(found.title, found.user.username, str(found.pk)) for found in by_name(name=user.username)]


def titles_of(user: User) -> list[str]:
    return [title for title, _name, _pk in conversations_of(user)]


@pytest.mark.django_db(transaction=True)
def test_threads_get_their_own_rows_at_the_same_time() -> None:
    users = [User.objects.create_user(f"user {number}") for number in range(12)]
    expected = {}
    for number, user in enumerate(users):
        made = [Conversation.objects.create(user=user, title=f"{each}") for each in range(number)]
        expected[user.pk] = sorted((each.title, user.username, str(each.pk)) for each in made)

    def query_often(user: User) -> None:
        try:
            for _ in range(50):
                assert sorted(conversations_of(user)) == expected[user.pk]
        finally:
            connection.close()

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a call, too
    try:
        with ThreadPoolExecutor(len(users)) as pool:
            list(pool.map(query_often, users))
    finally:
        sys.setswitchinterval(usual)


@pytest.mark.django_db
def test_an_update_changes_the_matching_rows_and_returns_their_number() -> None:
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    for user in (alice, alice, bob):
        Conversation.objects.create(user=user, title="old")
    assert set_title(user=alice.pk, title="new %s") == 2
    assert set_title(user=10**6, title="lost") == 0
    assert list(Conversation.objects.order_by("title").values_list("title", "unread")) == [
        ("new %s", True),
        ("new %s", True),
        ("old", False),
    ]


@pytest.mark.django_db
def test_a_query_is_executed_anew_at_every_call() -> None:
    alice = User.objects.create_user("alice")
    Conversation.objects.create(user=alice, title="old")
    assert titles_of(alice) == ["old"]
    Conversation.objects.update(title="new")
    assert titles_of(alice) == ["new"]


@pytest.mark.django_db
@pytest.mark.parametrize("given", [{}, {"name": "a", "title": "b"}, {"nam": "a"}])
def test_a_query_needs_exactly_its_values(given: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="takes"):
        by_name(**given)


@pytest.mark.django_db
def test_an_update_needs_exactly_its_values() -> None:
    with pytest.raises(TypeError, match="takes"):
        set_title(user=1)


@pytest.fixture
def conversation(db: None) -> Conversation:
    return Conversation.objects.create(user=User.objects.create_user("alice"))


def two_messages(conversation: Conversation) -> list[Message]:
    now = timezone.now()
    fields = {"conversation": conversation, "created_at": now, "content": "100 % \N{SNOWMAN}", "reserved_cost": 2**60}
    question = Message(role=Message.Role.USER, **fields)
    return [question, Message(role=Message.Role.ASSISTANT, parent=question, first_token_at=now, **fields)]


def stored(message: Message) -> dict[str, object]:
    """The columns of a message that two_messages gives the same values each time, but for times."""
    row = Message.objects.filter(pk=message.pk).values().get()
    return {
        name: value for name, value in row.items() if name not in ("id", "parent_id", "created_at", "first_token_at")
    }


def test_an_insert_stores_what_bulk_create_stores(conversation: Conversation) -> None:
    ours, theirs = two_messages(conversation), two_messages(conversation)
    assert insert(*ours) == 2
    Message.objects.bulk_create(theirs)
    assert [stored(message) for message in ours] == [stored(message) for message in theirs]


def test_an_insert_stores_times_and_parents(conversation: Conversation) -> None:
    question, answer = two_messages(conversation)
    insert(question, answer)
    found = Message.objects.get(pk=answer.pk)
    assert (found.created_at, found.first_token_at) == (answer.created_at, answer.first_token_at)
    assert found.parent_id == question.pk


def test_an_inserted_row_is_updated_when_it_is_saved(conversation: Conversation) -> None:
    question, _answer = two_messages(conversation)
    insert(question)
    question.content = "changed"
    question.save()
    assert Message.objects.get().content == "changed"


def test_a_row_cannot_be_inserted_twice(conversation: Conversation) -> None:
    question, _answer = two_messages(conversation)
    insert(question)
    with pytest.raises(IntegrityError):
        insert(question)


@pytest.mark.django_db
def test_the_database_numbers_automatic_keys() -> None:
    insert_record = PreparedInsert(UsageRecord)
    for _ in range(2):
        insert_record(UsageRecord(message_id=uuid.uuid4(), conversation_id=uuid.uuid4(), day=timezone.localdate()))
    first, second = UsageRecord.objects.order_by("pk").values_list("pk", flat=True)
    assert second == first + 1
