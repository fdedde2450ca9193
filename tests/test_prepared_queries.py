"""A query that is put together once asks for what each call gives it."""

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
retitle = PreparedUpdate(
    lambda: (
        Conversation.objects.filter(user=Parameter("user", models.IntegerField()), deleted_at=None),
        {"title": Parameter("title", Conversation._meta.get_field("title")), "unread": True},
    )
)


insert = PreparedInsert(Message)


def talks_of(person: User) -> list[tuple[str, str, str]]:
    return [(talk.title, talk.user.username, str(talk.pk)) for talk in by_name(name=person.username)]


@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_at_once_get_each_their_own_rows() -> None:
    people = [User.objects.create_user(f"person {number}") for number in range(12)]
    expected = {}
    for number, person in enumerate(people):
        talks = [Conversation.objects.create(user=person, title=f"{each}") for each in range(number)]
        expected[person.pk] = [(talk.title, person.username, str(talk.pk)) for talk in talks]

    def ask_often(person: User) -> None:
        try:
            for _ in range(50):
                assert sorted(talks_of(person)) == sorted(expected[person.pk])
        finally:
            connection.close()

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a call, too
    try:
        with ThreadPoolExecutor(len(people)) as pool:
            list(pool.map(ask_often, people))
    finally:
        sys.setswitchinterval(usual)


@pytest.mark.django_db
def test_it_sees_what_changed_since_it_was_compiled() -> None:
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    for person in (alice, alice, bob):
        Conversation.objects.create(user=person, title="old")
    assert [title for title, _name, _pk in talks_of(alice)] == ["old", "old"]
    assert retitle(user=alice.pk, title="new %s") == 2
    assert retitle(user=10**6, title="lost") == 0
    assert [title for title, _name, _pk in talks_of(alice)] == ["new %s", "new %s"]
    assert [title for title, _name, _pk in talks_of(bob)] == ["old"]
    assert [talk.unread for person in (alice, bob) for talk in by_name(name=person.username)] == [True, True, False]


@pytest.mark.django_db
def test_a_value_that_is_missing_or_unknown_is_not_overlooked() -> None:
    for given in ({}, {"name": "a", "title": "b"}, {"nam": "a"}):
        with pytest.raises(TypeError, match="takes"):
            by_name(**given)
    with pytest.raises(TypeError, match="takes"):
        retitle(user=1)


@pytest.mark.django_db
def test_rows_are_inserted_as_bulk_create_does_it() -> None:
    talk = Conversation.objects.create(user=User.objects.create_user("alice"))
    now = timezone.now()
    fields = {"conversation": talk, "created_at": now, "content": "100 % \N{SNOWMAN}", "reserved_cost": 2**60}

    def rows() -> list[Message]:
        question = Message(role=Message.Role.USER, **fields)
        return [question, Message(role=Message.Role.ASSISTANT, parent=question, first_token_at=now, **fields)]

    ours, theirs = rows(), rows()
    insert(*ours)
    Message.objects.bulk_create(theirs)
    for one, other in zip(ours, theirs, strict=True):
        stored, expected = (Message.objects.filter(pk=row.pk).values().get() for row in (one, other))
        assert stored.pop("id") == one.pk
        assert stored.pop("parent_id") == (one.parent and ours[0].pk)
        assert stored.items() <= expected.items()
    ours[0].content = "changed"
    ours[0].save()
    assert Message.objects.filter(conversation=talk, content="changed").count() == 1
    with pytest.raises(IntegrityError):
        insert(ours[0])


@pytest.mark.django_db
def test_a_key_that_the_database_counts_is_left_to_it() -> None:
    book = PreparedInsert(UsageRecord)
    for _ in range(2):
        book(UsageRecord(message_id=uuid.uuid4(), conversation_id=uuid.uuid4(), day=timezone.localdate()))
    first, second = UsageRecord.objects.order_by("pk").values_list("pk", flat=True)
    assert second == first + 1
