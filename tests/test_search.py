"""Full-text search finds a user's own titles and messages, whatever the query."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chat.models import Conversation, Message, Outcome, SearchEntry, Status, User
from chat.search import queries
from tests.conftest import require_service
from tests.services import POSTGRES, postgres_answers
from tests.site import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def add_messages(user: User, *texts: str, title: str = "", **fields: Any) -> list[Message]:
    """A conversation with these messages, questions and answers in turn."""
    conversation = Conversation.objects.create(user=user, title=title, **fields)
    parent, messages = None, []
    for at, text in enumerate(texts):
        parent = Message.objects.create(
            conversation=conversation, parent=parent, role=("user", "assistant")[at % 2], content=text
        )
        messages.append(parent)
    conversation.head = parent
    conversation.save()
    return messages


def found(user: User, query: str) -> list[str]:
    return [entry.message.content if entry.message else entry.conversation.title for entry in queries.find(user, query)]


def add_olives(user: User) -> None:
    add_messages(user, "When is the harvest?", "Olives ripen late.", title="Olive trees")
    add_messages(user, "Nothing to do with it", title="My olives")


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("olives", ["My olives", "Olives ripen late."]),
        ("OLIVE", ["My olives", "Olives ripen late.", "Olive trees"]),
        ("ripen olives", ["Olives ripen late."]),
        ("ripen pears", []),
    ],
    ids=["titles and texts, the newest first", "a prefix in any case", "all words", "not all words"],
)
def test_it_finds_titles_and_messages_with_all_words(alice: User, query: str, matches: list[str]) -> None:
    add_olives(alice)
    assert found(alice, query) == matches


def test_users_find_only_their_own_messages(alice: User) -> None:
    bob = User.objects.create_user("bob")
    add_messages(alice, "a secret about olives")
    add_messages(bob, "another secret about olives")
    assert found(alice, "secret") == ["a secret about olives"]
    assert found(bob, "secret") == ["another secret about olives"]


def test_the_word_that_the_index_stores_for_a_user_is_not_found(alice: User) -> None:
    bob = User.objects.create_user("bob")
    add_messages(bob, "another secret about olives")
    assert found(alice, f"u{bob.pk}") == []


def test_a_deleted_conversation_is_not_found(alice: User) -> None:
    (message,) = add_messages(alice, "a secret about olives")
    Conversation.objects.filter(pk=message.conversation_id).update(deleted_at=timezone.now())
    assert found(alice, "secret") == []


def test_an_unlisted_conversation_is_not_found(alice: User) -> None:
    add_messages(alice, "a one-shot secret", title="secret", transient=True)
    assert found(alice, "secret") == []


def test_an_answer_is_found_when_it_ends_and_not_before(alice: User) -> None:
    (question,) = add_messages(alice, "Tell me")
    answer = Message.objects.create(
        conversation=question.conversation, parent=question, role="assistant", status=Status.PENDING
    )
    Message.objects.filter(pk=answer.pk).update(status=Status.STREAMING, content="half a sec")
    assert found(alice, "half") == []
    outcome = Outcome(
        message_id=answer.pk,
        conversation_id=question.conversation_id,
        user_id=alice.pk,
        model="m",
        status=Status.COMPLETE,
        content="half a secret",
    )
    assert Message.objects.finish(outcome)
    assert found(alice, "half") == ["half a secret"]


def test_a_new_title_is_found_instead_of_the_old_one(alice: User) -> None:
    (message,) = add_messages(alice, "text", title="Before")
    Conversation.objects.filter(pk=message.conversation_id).update(title="Afterwards")
    assert found(alice, "before") == []
    assert found(alice, "afterwards") == ["Afterwards"]


def test_a_deleted_message_leaves_the_index(alice: User) -> None:
    (message,) = add_messages(alice, "a secret", title="the title")
    message.delete()
    assert SearchEntry.objects.count() == 1
    assert found(alice, "secret") == []


def test_the_entries_of_a_removed_conversation_are_not_found_under_new_ones(alice: User) -> None:
    add_messages(alice, "a secret", title="a secret")
    Conversation.objects.all().delete()
    assert SearchEntry.objects.count() == 0
    add_messages(alice, "something else")  # takes the ids of the removed entries
    assert found(alice, "secret") == []


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Öl für die Straße", "öl"),
        ("the file foo.py in a/b-c", "foo"),
        ("the file foo.py in a/b-c", "foo.py b-c"),
        ("mail ann@example.org now", "example"),
        ("a snake_case name", "snake_case"),
        ('it\'s "quoted" 100% (really)', "it's quoted 100%"),
        ("привет мир", "Привет"),
    ],
)
def test_words_are_found_with_any_characters_between_them(alice: User, text: str, query: str) -> None:
    add_messages(alice, text)
    assert found(alice, query) == [text]


@pytest.mark.parametrize(
    "query",
    [
        "%",
        "_",
        "'",
        '"',
        "\\",
        "*",
        "a*",
        "NEAR(a b)",
        "a AND",
        "owner : u1",
        "body:",
        "a\x00b",
        "\ud800",
        "(((",
        "a & ! | <->",
        ":*",
        "²",
        "😀",
        "x" * 10_000,
        "a " * 5_000,
        "' OR 1=1 --",
        "{a b}",
        "-a +b ^c",
    ],
)
def test_any_query_is_answered(client: Client, alice: User, query: str) -> None:
    add_messages(alice, "nothing of that kind")
    assert queries.find(alice, query) == []
    response = client.get("/search/", {"q": query.encode("utf-8", "replace").decode()})
    assert response.status_code == 200
    assert "nothing of that kind" not in response.text


@pytest.mark.parametrize("page", ["-1", "abc", "0", "99999999999999999999", "1.5", "", "\x00"])
def test_an_invalid_page_number_is_answered(client: Client, alice: User, page: str) -> None:
    add_messages(alice, "olives")
    assert client.get("/search/", {"q": "olives", "page": page}).status_code == 200


def test_every_match_is_on_one_page(client: Client, alice: User) -> None:
    for number in range(45):
        add_messages(alice, f"olive number-{number}-")
    seen = ""
    for page in (1, 2, 3):
        seen += client.get("/search/", {"q": "olive", "page": page}).text
    assert all(seen.count(f"number-{number}-") == 1 for number in range(45))
    assert "Older" not in client.get("/search/", {"q": "olive", "page": 3}).text


def test_matches_are_marked_and_everything_else_is_escaped(client: Client, alice: User) -> None:
    add_messages(alice, "<b>Olives</b> & <script>alert(1)</script>", title="<i>Olives</i>")
    page = client.get("/search/", {"q": 'olives "<>'}).text
    assert "<mark>Olives</mark>" in page
    assert "<script>alert" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page


def test_a_match_far_down_is_shown_with_the_words_around_it(client: Client, alice: User) -> None:
    add_messages(alice, "lorem " * 2_000 + "the néedle of it " + "ipsum " * 2_000)
    page = client.get("/search/", {"q": "néedle"}).text
    assert "<mark>néedle</mark>" in page
    assert page.count("lorem") < 40


@pytest.fixture
def versions(alice: User) -> tuple[Conversation, Message, Message]:
    """A conversation with two versions of an answer, of which the second is active."""
    question, first = add_messages(alice, "the question", "the first answer")
    second = Message.objects.create(
        conversation=question.conversation, parent=question, role="assistant", content="the second answer"
    )
    Conversation.objects.filter(pk=question.conversation_id).update(head=second)
    return question.conversation, first, second


def test_a_match_on_the_active_branch_links_to_its_message(
    client: Client, versions: tuple[Conversation, Message, Message]
) -> None:
    conversation, _first, second = versions
    page = client.get("/search/", {"q": "answer"}).text
    assert f'href="/c/{conversation.pk}/?at={second.pk}#m-{second.pk}"' in page


@pytest.mark.django_db(transaction=True)
def test_a_match_on_another_branch_makes_that_branch_active(
    client: Client, versions: tuple[Conversation, Message, Message]
) -> None:
    conversation, answer, _second = versions
    page = client.get("/search/", {"q": "answer"}).text
    assert f'action="/m/{answer.pk}/show/"' in page
    response = client.post(f"/m/{answer.pk}/show/")
    assert response.headers["Location"] == f"/c/{conversation.pk}/?at={answer.pk}#m-{answer.pk}"
    assert "the first answer" in client.get(response.headers["Location"]).text


def test_search_works_the_same_on_postgresql() -> None:
    if os.environ.get("TEST_DATABASE_URL"):
        pytest.skip("this is that run")
    if not postgres_answers():
        require_service("PostgreSQL does not answer")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/test_search.py", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "TEST_DATABASE_URL": POSTGRES},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
