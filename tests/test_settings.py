"""What a person sets, holds and takes along."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from typing import Any

import pytest
from django.test import Client

from chat.accounts import api_keys
from chat.answers import AnswerRequest
from chat.answers.liveness import Liveness
from chat.answers.store import pick_model, prepare
from chat.models import ApiKey, ChatModel, Conversation, ConversationReading, Message, Outcome, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="alice-password")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def conversation_of(user: User, title: str = "A title") -> Conversation:
    conversation = Conversation.objects.create(user=user, title=title)
    question = Message.objects.create(conversation=conversation, role="user", content=f"Question of {title}")
    conversation.head = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content=f"Answer in {title}", model="m"
    )
    conversation.save()
    return conversation


def instructions(user: User, conversation: Conversation | None = None) -> str:
    """The system prompt that a message would be sent with."""

    def find() -> AnswerRequest:
        return AnswerRequest(user=user, client_key="key", conversation=conversation, question="Hello")

    first, *_rest = prepare(find, Liveness()).prompt.turns
    return first.content


SETTINGS: dict[str, Any] = {"default_model": "", "system_prompt": "", "theme": "auto", "enter_sends": "on"}


def test_settings_are_saved_and_used(client: Client, alice: User) -> None:
    ChatModel.objects.create(name="other")
    given = {"default_model": "other", "system_prompt": "Be\r\nbrief.", "theme": "dark"}
    assert client.post("/settings/", given).status_code == 302
    alice.refresh_from_db()
    assert (alice.theme, alice.enter_sends) == ("dark", False)
    assert pick_model(alice, "").name == "other"
    assert instructions(alice) == "Be\nbrief."
    page = client.get("/").text
    assert 'data-theme="dark"' in page
    assert 'data-enter-sends=""' in page


@pytest.mark.parametrize("wrong", [{"theme": "pink"}, {"default_model": "unknown"}, {"system_prompt": "x" * 8001}])
def test_settings_that_make_no_sense_are_refused_in_words(client: Client, alice: User, wrong: dict[str, str]) -> None:
    response = client.post("/settings/", {**SETTINGS, **wrong})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    alice.refresh_from_db()
    assert (alice.theme, alice.default_model, alice.system_prompt) == ("auto", "", "")


def test_nobody_chooses_a_model_that_is_kept_from_them(client: Client, alice: User) -> None:
    ChatModel.objects.create(name="hidden", enabled=False)
    assert client.post("/settings/", {**SETTINGS, "default_model": "hidden"}).status_code == 422
    conversation = conversation_of(alice)
    client.post(f"/c/{conversation.pk}/settings/", {"model": "hidden"})
    conversation.refresh_from_db()
    assert conversation.model == ""


def test_a_conversation_has_instructions_of_its_own(client: Client, alice: User) -> None:
    alice.system_prompt = "Be brief."
    ChatModel.objects.create(name="other")
    conversation = conversation_of(alice)
    assert instructions(alice, conversation) == "Be brief."
    client.post(f"/c/{conversation.pk}/settings/", {"model": "other", "system_prompt": "Rhyme."})
    conversation.refresh_from_db()
    assert conversation.model == "other"
    assert instructions(alice, conversation) == "Rhyme."
    assert "Rhyme." in client.get(f"/c/{conversation.pk}/").text


def test_logging_out_everywhere_leaves_this_browser_in(client: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    assert elsewhere.get("/settings/").status_code == 200
    assert client.post("/settings/sessions/end/").status_code == 302
    assert elsewhere.get("/settings/").status_code == 302
    assert client.get("/settings/").status_code == 200


def test_a_key_is_shown_once_works_and_can_be_revoked(client: Client, alice: User) -> None:
    page = client.post("/settings/keys/", {"name": "<b>laptop</b>"}).text
    secret = re.search(r"<code>(cs_[\w-]{43})</code>", page)
    assert secret
    assert "<b>laptop" not in page
    key = api_keys.authenticate(secret[1])
    assert key is not None
    assert key.user == alice
    again = client.get("/settings/").text
    assert secret[1] not in again
    assert key.prefix in again
    assert client.post(f"/settings/keys/{key.pk}/revoke/").status_code == 302
    assert api_keys.authenticate(secret[1]) is None
    assert key.prefix not in client.get("/settings/").text


def test_a_key_without_a_name_is_refused_in_words(client: Client) -> None:
    response = client.post("/settings/keys/", {"name": " "})
    assert response.status_code == 422
    assert "Enter a name for the key." in response.text
    assert not ApiKey.objects.exists()


def test_nobody_revokes_the_key_of_another(client: Client) -> None:
    key, secret = api_keys.create(User.objects.create_user("bob"), "bobs")
    assert client.post(f"/settings/keys/{key.pk}/revoke/").status_code == 404
    assert api_keys.authenticate(secret) is not None


def test_people_see_who_read_their_conversations_and_why(client: Client, alice: User) -> None:
    sam, bob = User.objects.create_user("sam"), User.objects.create_user("bob")
    for owner, reason in ((alice, "a <b>complaint</b>"), (bob, "another one")):
        ConversationReading.objects.create(
            conversation_id=conversation_of(owner).pk, owner=owner, reader=sam, reader_name="sam", reason=reason
        )
    page = client.get("/settings/").text
    assert "a &lt;b&gt;complaint&lt;/b&gt;" in page
    assert "another one" not in page


def test_one_conversation_is_taken_along(client: Client, alice: User) -> None:
    conversation = conversation_of(alice, "Öl & <wine>/..")
    response = client.get(f"/c/{conversation.pk}/export/")
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="[\w.-]+\.md"', response.headers["Content-Disposition"])
    assert "Answer in Öl & <wine>/.." in response.text
    data = json.loads(client.get(f"/c/{conversation.pk}/export/?format=json").content)
    assert [message["role"] for message in data["messages"]] == ["user", "assistant"]
    assert client.get(f"/c/{conversation.pk}/export/?format=exe").status_code == 200


async def _body(response: Any) -> bytes:
    return b"".join([part async for part in response])


def body_of(response: Any) -> bytes:
    return asyncio.run(_body(response))


def test_all_conversations_are_taken_along(client: Client, alice: User) -> None:
    for title in ("same", "same", "other"):
        conversation_of(alice, title)
    conversation_of(User.objects.create_user("bob"), "bobs")
    data = json.loads(body_of(client.get("/export/?format=json")))
    assert sorted(each["title"] for each in data["conversations"]) == ["other", "same", "same"]
    with zipfile.ZipFile(io.BytesIO(body_of(client.get("/export/")))) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == 3
        assert all(re.fullmatch(r"[\w-]+\.md", name) for name in archive.namelist())


def test_nothing_to_take_along_is_an_empty_file(client: Client) -> None:
    assert json.loads(body_of(client.get("/export/?format=json"))) == {"conversations": []}
    assert zipfile.ZipFile(io.BytesIO(body_of(client.get("/export/")))).namelist() == []


def test_all_conversations_go_only_after_the_word_is_typed(client: Client, alice: User) -> None:
    mine, bobs = conversation_of(alice), conversation_of(User.objects.create_user("bob"))
    Message.objects.filter(pk=mine.head_id).update(status="streaming")
    assert "1 conversation" in client.get("/settings/delete-all/").text
    assert client.post("/settings/delete-all/", {"word": "yes"}).status_code == 422
    assert Conversation.objects.for_user(alice).count() == 1
    assert client.post("/settings/delete-all/", {"word": " Delete"}).status_code == 302
    assert Conversation.objects.for_user(alice).count() == 0
    assert Message.objects.get(pk=mine.head_id).stop_requested
    assert Conversation.objects.for_user(bobs.user).count() == 1


def test_an_answer_that_ended_unseen_is_marked_until_it_is_looked_at(client: Client, alice: User) -> None:
    conversation = conversation_of(alice, "news")
    Message.objects.filter(pk=conversation.head_id).update(status="streaming")
    outcome = Outcome(
        message_id=conversation.head_id, conversation_id=conversation.pk, user_id=alice.pk, model="m", status="complete"
    )
    assert Message.objects.finish(outcome)
    assert "New answer" in client.get("/").text
    client.get(f"/c/{conversation.pk}/")
    assert "New answer" not in client.get("/").text
