"""Nothing is overwritten: every version of a message can be gone back to."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from chat import errors
from chat.models import Conversation, Message, Status, User

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def tree(user: User, text: str) -> dict[str, Message]:
    """From lines `parent child`; the last child is the head. Letters in capitals are questions."""
    conversation = Conversation.objects.create(user=user)
    made: dict[str, Message] = {}
    for line in text.split(","):
        parent, name = line.split()
        role = "user" if name[0].isupper() else "assistant"
        made[name] = Message.objects.create(
            conversation=conversation, parent=made.get(parent), role=role, content=f"text-{name}-"
        )
    conversation.head = made[name]
    conversation.save()
    return made


def shown(conversation: Conversation) -> str:
    conversation.refresh_from_db()
    return " ".join(message.content.split("-")[1] for message in conversation.active_branch())


def test_showing_a_version_leads_to_what_was_said_last_after_it(alice: User) -> None:
    made = tree(alice, "- A, A a1, a1 B, B b1, B b2, A a2, a2 C")
    conversation = made["A"].conversation
    assert shown(conversation) == "A a2 C"
    assert conversation.activate_branch(made["a1"].pk) == made["a2"].pk
    assert shown(conversation) == "A a1 B b2"
    assert conversation.activate_branch(made["b1"].pk) == made["b2"].pk
    assert shown(conversation) == "A a1 B b1"
    assert conversation.activate_branch(made["a2"].pk) == made["a1"].pk
    assert shown(conversation) == "A a2 C"


def test_the_first_message_has_versions_too(alice: User) -> None:
    made = tree(alice, "- A, A a1, - B, B b1")
    made["A"].conversation.activate_branch(made["A"].pk)
    assert shown(made["A"].conversation) == "A a1"


def test_the_page_says_which_version_it_shows_and_where_the_others_are(client: Client, alice: User) -> None:
    made = tree(alice, "- A, A a1, A a2, A a3")
    conversation = made["A"].conversation
    conversation.activate_branch(made["a2"].pk)
    page = client.get(f"/c/{conversation.pk}/").text
    assert "Version 2 of 3" in page
    assert f"/m/{made['a1'].pk}/show/" in page
    assert f"/m/{made['a3'].pk}/show/" in page
    assert "text-a2-" in page
    assert "text-a1-" not in page


def test_a_script_gets_the_version_and_all_after_it_in_place_of_the_other(client: Client, alice: User) -> None:
    made = tree(alice, "- A, A a1, a1 B, B b1, A a2")
    response = client.post(f"/m/{made['a1'].pk}/show/", headers=HTMX)
    assert f'hx-target="#m-{made["a2"].pk}" hx-swap="outerHTML"' in response.text
    assert [name for name in made if f"text-{name}-" in response.text] == ["a1", "B", "b1"]
    assert json.loads(response.headers["HX-Trigger"]) == {"version-shown": {"id": f"m-{made['a1'].pk}"}}


def test_a_plain_form_is_sent_to_the_version(client: Client, alice: User) -> None:
    made = tree(alice, "- A, A a1, A a2")
    response = client.post(f"/m/{made['a1'].pk}/show/")
    assert response.headers["Location"] == f"/c/{made['A'].conversation_id}/?at={made['a1'].pk}#m-{made['a1'].pk}"
    assert "text-a1-" in client.get(response.headers["Location"]).text


def test_it_stays_where_it_is_while_an_answer_runs(client: Client, alice: User) -> None:
    made = tree(alice, "- A, A a1, A a2")
    Message.objects.filter(pk=made["a2"].pk).update(status=Status.STREAMING)
    response = client.post(f"/m/{made['a1'].pk}/show/", headers=HTMX)
    assert response.status_code == 409
    assert errors.AnswerRunning().message in response.text
    assert shown(made["A"].conversation) == "A a2"


def test_a_message_in_a_deleted_conversation_is_not_there(client: Client, alice: User) -> None:
    made = tree(alice, "- A, A a1")
    client.post(f"/c/{made['A'].conversation_id}/delete/")
    for verb in ("show", "regenerate", "continue", "stop"):
        assert client.post(f"/m/{made['a1'].pk}/{verb}/").status_code == 404
    assert client.post(f"/m/{made['A'].pk}/edit/", {"prompt": "x"}).status_code == 404
    assert client.get(f"/c/{made['A'].conversation_id}/export/").status_code == 404
