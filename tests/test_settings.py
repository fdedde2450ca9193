"""The settings page: preferences, API keys, sessions, who read a conversation, and deleting all conversations."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from chat.accounts import api_keys
from chat.answers import AnswerRequest
from chat.answers.liveness import Liveness
from chat.answers.store import pick_model, prepare
from chat.models import ApiKey, ChatModel, Conversation, ConversationReading, Message, Outcome, User
from tests.conversations import conversation_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="alice-password")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def instructions(user: User, conversation: Conversation | None = None) -> str:
    """The system prompt that a message would be sent with."""

    def find() -> AnswerRequest:
        return AnswerRequest(user=user, client_key="key", conversation=conversation, question="Hello")

    first, *_rest = prepare(find, Liveness()).prompt.turns
    return first.content


SETTINGS: dict[str, Any] = {"default_model": "", "system_prompt": "", "theme": "auto", "enter_sends": "on"}
WRONG: tuple[dict[str, str], ...] = ({"theme": "pink"}, {"default_model": "unknown"}, {"system_prompt": "x" * 8001})


def test_settings_are_saved(client: Client, alice: User) -> None:
    given = {"default_model": "", "system_prompt": "Be\r\nbrief.", "theme": "dark"}
    assert client.post("/settings/", given).status_code == 302
    alice.refresh_from_db()
    assert (alice.theme, alice.enter_sends) == ("dark", False)


def test_the_default_model_is_used(client: Client, alice: User) -> None:
    ChatModel.objects.create(name="other")
    client.post("/settings/", {**SETTINGS, "default_model": "other"})
    alice.refresh_from_db()
    assert pick_model(alice, "").name == "other"


def test_the_instructions_are_sent_to_the_model(client: Client, alice: User) -> None:
    client.post("/settings/", {**SETTINGS, "system_prompt": "Be\r\nbrief."})
    alice.refresh_from_db()
    assert instructions(alice) == "Be\nbrief."


def test_the_page_has_the_theme(client: Client) -> None:
    client.post("/settings/", {**SETTINGS, "theme": "dark"})
    assert 'data-theme="dark"' in client.get("/").text


def test_the_page_knows_whether_enter_sends(client: Client) -> None:
    client.post("/settings/", {name: value for name, value in SETTINGS.items() if name != "enter_sends"})
    assert 'data-enter-sends=""' in client.get("/").text


@pytest.mark.parametrize("wrong", WRONG)
def test_invalid_settings_are_refused_with_a_message(client: Client, wrong: dict[str, str]) -> None:
    response = client.post("/settings/", {**SETTINGS, **wrong})
    assert response.status_code == 422
    assert 'class="error"' in response.text


@pytest.mark.parametrize("wrong", WRONG)
def test_invalid_settings_change_nothing(client: Client, alice: User, wrong: dict[str, str]) -> None:
    client.post("/settings/", {**SETTINGS, **wrong})
    alice.refresh_from_db()
    assert (alice.theme, alice.default_model, alice.system_prompt) == ("auto", "", "")


def test_a_disabled_model_cannot_be_the_default(client: Client) -> None:
    ChatModel.objects.create(name="hidden", enabled=False)
    assert client.post("/settings/", {**SETTINGS, "default_model": "hidden"}).status_code == 422


def test_a_disabled_model_cannot_be_chosen_for_a_conversation(client: Client, alice: User) -> None:
    ChatModel.objects.create(name="hidden", enabled=False)
    conversation = conversation_of(alice)
    client.post(f"/c/{conversation.pk}/settings/", {"model": "hidden"})
    conversation.refresh_from_db()
    assert conversation.model == ""


def test_a_conversation_has_a_model_of_its_own(client: Client, alice: User) -> None:
    ChatModel.objects.create(name="other")
    conversation = conversation_of(alice)
    client.post(f"/c/{conversation.pk}/settings/", {"model": "other"})
    conversation.refresh_from_db()
    assert conversation.model == "other"


def test_a_conversation_has_the_instructions_of_its_owner(alice: User) -> None:
    alice.system_prompt = "Be brief."
    assert instructions(alice, conversation_of(alice)) == "Be brief."


def test_instructions_of_a_conversation_take_the_place_of_its_owners(client: Client, alice: User) -> None:
    alice.system_prompt = "Be brief."
    conversation = conversation_of(alice)
    client.post(f"/c/{conversation.pk}/settings/", {"model": "", "system_prompt": "Rhyme."})
    conversation.refresh_from_db()
    assert instructions(alice, conversation) == "Rhyme."


def test_the_page_of_a_conversation_shows_its_instructions(client: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    client.post(f"/c/{conversation.pk}/settings/", {"model": "", "system_prompt": "Rhyme."})
    assert "Rhyme." in client.get(f"/c/{conversation.pk}/").text


@pytest.fixture
def elsewhere(alice: User) -> Client:
    """Alice in another browser."""
    client = Client()
    client.force_login(alice)
    assert client.get("/settings/").status_code == 200
    return client


def test_other_sessions_can_be_ended(client: Client, elsewhere: Client) -> None:
    assert client.post("/settings/sessions/end/").status_code == 302
    assert elsewhere.get("/settings/").status_code == 302


def test_ending_other_sessions_keeps_this_one(client: Client, elsewhere: Client) -> None:
    client.post("/settings/sessions/end/")
    assert client.get("/settings/").status_code == 200


def create_key(client: Client) -> str:
    """The secret of a new key, as the page shows it."""
    page = client.post("/settings/keys/", {"name": "laptop"}).text
    secret = re.search(r"<code>(cs_[\w-]{43})</code>", page)
    assert secret, page
    return secret[1]


def test_a_new_key_belongs_to_its_creator(client: Client, alice: User) -> None:
    key = api_keys.authenticate(create_key(client))
    assert key is not None
    assert key.user == alice


def test_a_key_is_shown_once(client: Client) -> None:
    secret = create_key(client)
    assert secret not in client.get("/settings/").text


def test_keys_are_listed_by_their_prefix(client: Client) -> None:
    create_key(client)
    assert ApiKey.objects.get().prefix in client.get("/settings/").text


def test_the_name_of_a_key_is_escaped(client: Client) -> None:
    assert "<b>laptop" not in client.post("/settings/keys/", {"name": "<b>laptop</b>"}).text


def test_a_revoked_key_is_not_valid(client: Client) -> None:
    secret = create_key(client)
    assert client.post(f"/settings/keys/{ApiKey.objects.get().pk}/revoke/").status_code == 302
    assert api_keys.authenticate(secret) is None


def test_a_revoked_key_is_not_listed(client: Client) -> None:
    create_key(client)
    key = ApiKey.objects.get()
    client.post(f"/settings/keys/{key.pk}/revoke/")
    assert key.prefix not in client.get("/settings/").text


def test_a_key_without_a_name_is_refused_with_a_message(client: Client) -> None:
    response = client.post("/settings/keys/", {"name": " "})
    assert response.status_code == 422
    assert "Enter a name for the key." in response.text
    assert not ApiKey.objects.exists()


def test_nobody_revokes_the_key_of_another(client: Client) -> None:
    key, secret = api_keys.create(User.objects.create_user("bob"), "bobs")
    assert client.post(f"/settings/keys/{key.pk}/revoke/").status_code == 404
    assert api_keys.authenticate(secret) is not None


def read_by_sam(owner: User, reason: str) -> None:
    sam, _created = User.objects.get_or_create(username="sam")
    ConversationReading.objects.create(
        conversation_id=conversation_of(owner).pk, owner=owner, reader=sam, reader_name="sam", reason=reason
    )


def test_users_see_who_read_their_conversations_and_why(client: Client, alice: User) -> None:
    read_by_sam(alice, "a <b>complaint</b>")
    assert "a &lt;b&gt;complaint&lt;/b&gt;" in client.get("/settings/").text


def test_users_do_not_see_who_read_conversations_of_others(client: Client) -> None:
    read_by_sam(User.objects.create_user("bob"), "another one")
    assert "another one" not in client.get("/settings/").text


def test_the_page_counts_the_conversations_that_would_be_deleted(client: Client, alice: User) -> None:
    conversation_of(alice)
    assert "1 conversation" in client.get("/settings/delete-all/").text


def test_nothing_is_deleted_without_the_word(client: Client, alice: User) -> None:
    conversation_of(alice)
    assert client.post("/settings/delete-all/", {"word": "yes"}).status_code == 422
    assert Conversation.objects.for_user(alice).count() == 1


def test_all_conversations_are_deleted_with_the_word(client: Client, alice: User) -> None:
    conversation_of(alice)
    assert client.post("/settings/delete-all/", {"word": " Delete"}).status_code == 302
    assert Conversation.objects.for_user(alice).count() == 0


def test_deleting_all_conversations_stops_running_answers(client: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    Message.objects.filter(pk=conversation.head_id).update(status="streaming")
    client.post("/settings/delete-all/", {"word": "Delete"})
    assert Message.objects.get(pk=conversation.head_id).stop_requested


def test_deleting_all_conversations_keeps_those_of_others(client: Client) -> None:
    conversation = conversation_of(User.objects.create_user("bob"))
    client.post("/settings/delete-all/", {"word": "Delete"})
    assert Conversation.objects.for_user(conversation.user).count() == 1


@pytest.fixture
def unseen(alice: User) -> Conversation:
    """Its answer ended while nobody looked at it."""
    conversation = conversation_of(alice, "news")
    Message.objects.filter(pk=conversation.head_id).update(status="streaming")
    outcome = Outcome(
        message_id=conversation.head_id, conversation_id=conversation.pk, user_id=alice.pk, model="m", status="complete"
    )
    assert Message.objects.finish(outcome)
    return conversation


def test_an_answer_that_ended_unseen_is_marked(client: Client, unseen: Conversation) -> None:
    assert "New answer" in client.get("/").text


def test_opening_the_conversation_removes_the_mark(client: Client, unseen: Conversation) -> None:
    client.get(f"/c/{unseen.pk}/")
    assert "New answer" not in client.get("/").text
