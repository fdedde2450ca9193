"""What admins see and may do, and what nobody may."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import timezone

from chat import providers as upstream
from chat.accounts import api_keys
from chat.admin import health, pages
from chat.limits import limiter
from chat.limits.plans import rules_for, subject_of
from chat.models import (
    ChatModel,
    Conversation,
    ConversationReading,
    DailyUsage,
    LimitOverride,
    Message,
    ModelPrice,
    Plan,
    ServerProcess,
    UsageRecord,
    User,
    site_day,
)
from tests.fakes import FakeUpstream, Gate, gated
from tests.site import Site

pytestmark = pytest.mark.django_db

SECRET = "alices canary"
REASON = "A complaint about this answer, ticket 17."
LIMITS_RIGHTS = (pages.SEE_USAGE, "chat.view_user")
RIGHTS = {
    "admin:chat_dashboard": (pages.SEE_USAGE,),
    "admin:chat_usagerecord_changelist": (pages.SEE_USAGE,),
    "admin:chat_usagerecord_change": (pages.SEE_USAGE,),
    "admin:chat_live": (pages.SEE_USAGE,),
    "admin:chat_health": (pages.SEE_USAGE,),
    "admin:chat_user_limits": LIMITS_RIGHTS,
    "admin:chat_read": (pages.READ_CONVERSATIONS,),
    "admin:chat_conversationreading_changelist": ("chat.view_conversationreading",),
    "admin:chat_stop": (pages.SEE_USAGE, pages.STOP_ANSWERS),
    "admin:chat_user_limits_reset": (*LIMITS_RIGHTS, pages.CHANGE_LIMITS),
}
STOPS = pytest.mark.django_db(transaction=True)  # the verb looks from a thread of its own
POSTED = ("admin:chat_stop", "admin:chat_user_limits_reset")


@pytest.fixture(autouse=True)
def _empty_limits() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", pk=1)


@pytest.fixture
def chat(alice: User) -> Conversation:
    conversation = Conversation.objects.create(user=alice, title=f"{SECRET} title", system_prompt=f"{SECRET} system")
    question = Message.objects.create(conversation=conversation, role="user", content=f"{SECRET} <b>question</b>")
    answer = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content=f"{SECRET} answer", model="gpt-4o"
    )
    Conversation.objects.filter(pk=conversation.pk).update(head=answer)
    return conversation


@pytest.fixture
def running(alice: User) -> Message:
    process = ServerProcess.objects.create(host="web-1", pid=1)
    return Message.objects.create(
        conversation=Conversation.objects.create(user=alice),
        role="assistant",
        status="streaming",
        content=SECRET + "x" * 400,
        model="gpt-4o",
        prompt_tokens=100,
        reserved_tokens=1800,
        owner=process,
    )


def book(user: User | None, **fields: Any) -> UsageRecord:
    moment = fields.pop("created_at", timezone.now())
    values = {"message_id": uuid.uuid4(), "conversation_id": uuid.uuid4(), "model": "gpt-4o", "status": "complete"}
    record = UsageRecord(user=user, created_at=moment, day=site_day(moment), **{**values, **fields})
    UsageRecord.objects.bulk_create([record])
    DailyUsage.objects.add_record(record)
    return record


@pytest.fixture
def ledger(alice: User, chat: Conversation) -> UsageRecord:
    return book(alice, conversation_id=chat.pk, prompt_tokens=7, completion_tokens=5, cost=1_500_000)


def staff(*rights: str, name: str = "sam") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    for right in rights:
        app, codename = right.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def addresses(ledger: UsageRecord, running: Message, chat: Conversation) -> dict[str, str]:
    values: dict[str, tuple[Any, ...]] = {
        "admin:chat_usagerecord_change": (ledger.pk,),
        "admin:chat_user_limits": (1,),
        "admin:chat_user_limits_reset": (1,),
        "admin:chat_read": (chat.pk,),
        "admin:chat_stop": (running.pk,),
    }
    return {name: reverse(name, args=values.get(name, ())) for name in RIGHTS}


def ask(client: Client, name: str, address: str) -> Any:
    return client.post(address) if name in POSTED else client.get(address)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=STOPS) if name == "admin:chat_stop" else name for name in RIGHTS]
)
def test_a_page_opens_for_its_right_and_for_nobody_else(name: str, addresses: dict[str, str], boss: Client) -> None:
    address, rights = addresses[name], RIGHTS[name]
    person = Client()
    person.force_login(User.objects.get(username="alice"))
    for outsider in (Client(), person):
        response = ask(outsider, name, address)
        assert response.status_code == 302
        assert "login" in response.headers["Location"]
    assert ask(staff(name="new"), name, address).status_code == 403
    others = set().union(*RIGHTS.values(), ["chat.view_user"]) - set(rights)
    for right in rights:
        lacking = staff(*others, *(set(rights) - {right}), name=right[:150])
        assert ask(lacking, name, address).status_code == 403, right
    if name in POSTED:
        assert not LogEntry.objects.exists()
        assert boss.get(address).status_code == 405
    expected = 302 if name in POSTED else 200
    assert ask(staff(*rights), name, address).status_code == expected
    assert ask(boss, name, address).status_code == expected


def stock_pages() -> dict[str, str]:
    """What Django itself makes of each registered model, with the right each page takes."""
    rights = {"changelist": "view", "add": "add", "change": "view", "delete": "delete", "history": "view"}
    return {
        f"admin:{meta.app_label}_{meta.model_name}_{page}": f"{meta.app_label}.{right}_{meta.model_name}"
        for meta in (model._meta for model in admin.site._registry)
        for page, right in rights.items()
    }


def test_every_page_of_the_admin_is_one_whose_right_is_known() -> None:
    names = {f"admin:{name}" for name in get_resolver().namespace_dict["admin"][1].reverse_dict if type(name) is str}
    of_the_site = "index login logout password_change password_change_done autocomplete jsi18n view_on_site app_list"
    known = {f"admin:{name}" for name in (*of_the_site.split(), "auth_user_password_change")}
    assert names >= set(RIGHTS)
    assert names - known - set(RIGHTS) - set(stock_pages()) == set()


@pytest.mark.parametrize(
    ("name", "right"), [item for item in stock_pages().items() if item[0].endswith(("_changelist", "_add"))]
)
def test_a_list_or_form_opens_for_its_right_and_for_nobody_else(name: str, right: str, boss: Client) -> None:
    address = reverse(name)
    person = Client()
    person.force_login(User.objects.create_user("bob"))
    assert [outsider.get(address).status_code for outsider in (Client(), person)] == [302, 302]
    app, what = right.split(".")
    lacking = Permission.objects.exclude(content_type__app_label=app, codename=what)
    if what.startswith("view_"):  # who may change a thing may see it
        lacking = lacking.exclude(content_type__app_label=app, codename=what.replace("view_", "change_"))
    sam = User.objects.create_user("sam", is_staff=True)
    sam.user_permissions.set(lacking)
    without = Client()
    without.force_login(sam)
    assert without.get(address).status_code == 403
    never = right in ("chat.add_usagerecord", "chat.add_conversationreading", "chat.add_apikey")
    assert boss.get(address).status_code == (403 if never else 200)


@pytest.mark.parametrize("name", [name for name in RIGHTS if name not in POSTED])
def test_a_page_takes_few_queries_and_no_inline_anything(
    name: str, addresses: dict[str, str], boss: Client, alice: User
) -> None:
    for number in range(30):
        book(User.objects.create_user(f"person-{number}"), cost=1, first_token_ms=400)
    with CaptureQueriesContext(connection) as queries:
        html = boss.get(addresses[name]).content.decode()
    assert len(queries) <= 15
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", html)


def test_the_front_page_shows_today_to_those_who_may_see_usage(addresses: dict[str, str], boss: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        html = boss.get("/admin/").content.decode()
    assert len(queries) <= 15
    assert addresses["admin:chat_dashboard"] in html
    assert "$1.50" in html
    assert addresses["admin:chat_dashboard"] not in staff("chat.view_plan").get("/admin/").content.decode()


def test_no_admin_page_shows_a_word_of_a_conversation(addresses: dict[str, str], boss: Client) -> None:
    urls = [address for name, address in addresses.items() if name not in POSTED]
    for model in admin.site._registry:
        urls.append(f"/admin/{model._meta.app_label}/{model._meta.model_name}/")
    urls += ["/admin/", "/admin/chat/user/1/change/", "/admin/chat/user/1/delete/", "/admin/chat/user/1/history/"]
    for url in urls:
        response = boss.get(url)
        assert response.status_code == 200, url
        assert SECRET not in response.content.decode(), url
    assert Conversation not in admin.site._registry
    assert Message not in admin.site._registry


def test_nobody_adds_changes_or_deletes_ledger_rows(addresses: dict[str, str], boss: Client) -> None:
    listing, row = addresses["admin:chat_usagerecord_changelist"], addresses["admin:chat_usagerecord_change"]
    before = list(UsageRecord.objects.values())
    delete = {"action": "delete_selected", "_selected_action": [before[0]["id"]], "post": "yes"}
    for method in (boss.get, boss.post):
        assert method(f"{listing}add/").status_code == 403
        assert method(row.replace("change", "delete")).status_code == 403
    assert boss.post(row, {"cost": 0}).status_code == 403
    assert boss.post(listing, delete).status_code in (200, 302)
    assert list(UsageRecord.objects.values()) == before


def test_a_post_without_the_csrf_token_does_nothing(addresses: dict[str, str], running: Message) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    for name in (*POSTED, "admin:chat_read"):
        assert client.post(addresses[name], {"reason": REASON}).status_code == 403
    running.refresh_from_db()
    assert not running.stop_requested
    assert not ConversationReading.objects.exists()


# Reading a conversation.


def test_a_reading_needs_a_reason_and_leaves_its_traces(addresses: dict[str, str], chat: Conversation) -> None:
    client, address = staff(pages.READ_CONVERSATIONS), addresses["admin:chat_read"]
    for reason in (None, "", "   ", "because", "..................."):
        response = client.get(address) if reason is None else client.post(address, {"reason": reason})
        assert SECRET not in response.content.decode()
    assert not ConversationReading.objects.exists()
    html = client.post(address, {"reason": REASON}).content.decode()
    assert f"{SECRET} &lt;b&gt;question&lt;/b&gt;" in html
    assert f"{SECRET} answer" in html
    assert "alice" in html
    reading = ConversationReading.objects.get()
    assert (reading.conversation_id, reading.owner_id, reading.reader_name) == (chat.pk, 1, "sam")
    entry = LogEntry.objects.get()
    assert entry.object_id == str(chat.pk)
    assert REASON in entry.change_message
    assert SECRET not in entry.object_repr + entry.change_message


def test_every_look_counts_and_the_owner_is_told(addresses: dict[str, str], boss: Client, chat: Conversation) -> None:
    for _ in range(2):
        boss.post(addresses["admin:chat_read"], {"reason": REASON})
    readings = ConversationReading.objects.for_conversation(chat.pk)
    assert len(readings) == LogEntry.objects.count() == 2
    shown = render_to_string("chat/_readings.html", {"readings": readings})
    assert shown.count(REASON) == 2
    assert "boss" in shown


def test_a_deleted_conversation_is_read_by_nobody(addresses: dict[str, str], boss: Client, chat: Conversation) -> None:
    Conversation.objects.filter(pk=chat.pk).update(deleted_at=timezone.now())
    for response in (
        boss.get(addresses["admin:chat_read"]),
        boss.post(addresses["admin:chat_read"], {"reason": REASON}),
    ):
        assert response.status_code == 404
    assert addresses["admin:chat_read"] not in boss.get(addresses["admin:chat_usagerecord_change"]).content.decode()


def test_a_ledger_row_leads_to_its_conversation_only_with_the_right(addresses: dict[str, str], boss: Client) -> None:
    row, reading = addresses["admin:chat_usagerecord_change"], addresses["admin:chat_read"]
    assert reading in boss.get(row).content.decode()
    assert reading not in staff(pages.SEE_USAGE).get(row).content.decode()


# Running answers.


def test_the_running_answers_are_listed_with_their_tokens(addresses: dict[str, str], boss: Client) -> None:
    response = boss.get(addresses["admin:chat_live"])
    (answer,) = response.context["answers"]
    assert (answer.username, answer.model, answer.held_tokens) == ("alice", "gpt-4o", "1,800")
    assert answer.token_count == 100 + -(-(len(SECRET) + 400) // 4)
    assert response.headers["Refresh"] == "5"
    assert "Refresh" not in boss.get(addresses["admin:chat_live"] + "?paused").headers
    viewer = staff(pages.SEE_USAGE).get(addresses["admin:chat_live"]).content.decode()
    assert "alice" in viewer
    assert addresses["admin:chat_stop"] not in viewer


@STOPS
def test_stop_is_asked_for_and_written_down(addresses: dict[str, str], boss: Client, running: Message) -> None:
    response = boss.post(addresses["admin:chat_stop"], {"back": "person"})
    assert response.headers["Location"] == addresses["admin:chat_user_limits"]
    running.refresh_from_db()
    assert running.stop_requested
    assert str(running.pk) in LogEntry.objects.get(object_id="1").change_message
    assert boss.post(addresses["admin:chat_stop"].replace(str(running.pk), str(uuid.uuid4()))).status_code == 404


def test_stop_ends_the_answer_of_another_process(site: Site, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.enqueue(gated(gate, before=("half an answer",)))
    alice, sam = site.person("alice"), site.person("sam")
    sent = alice.send("hello")
    answer = re.search(r"/m/([0-9a-f-]{36})/stream/", sent.text)[1]
    gate.wait_until_reached()
    page = sam.http.get("/admin/chat/usagerecord/running/").text
    assert f"/running/{answer}/stop/" in page
    assert sam.post(f"/admin/chat/usagerecord/running/{answer}/stop/", htmx=False).status_code == 302
    assert site.shell(f"from chat.models import Message; print(Message.objects.get(pk='{answer}').status)") == "stopped"
    assert "No answer is running." in sam.http.get("/admin/chat/usagerecord/running/").text
    gate.open()


# One person's limits.


def test_the_limits_of_a_person_show_what_is_used_and_held(
    addresses: dict[str, str], boss: Client, alice: User
) -> None:
    Plan.objects.filter(is_default=True).update(requests_per_minute=4, tokens_per_day=10_000, concurrent_answers=2)
    limiter.reserve_sync(subject_of(alice), rules_for(alice), lease_id="one", tokens=3000, cost=0)
    limiter.reserve_sync(subject_of(alice), rules_for(alice), lease_id="two", tokens=1000, cost=0)
    limiter.settle_sync(subject_of(alice), lease_id="two", tokens=500, cost=0)
    response = boss.get(addresses["admin:chat_user_limits"])
    gauges = {gauge.rule: gauge for gauge in response.context["gauges"]}
    tokens = gauges["tokens_per_day"]
    assert (tokens.used, tokens.held, tokens.remaining) == ("512", "3,000", "6,488")
    assert (gauges["concurrent_answers"].used, gauges["concurrent_answers"].remaining) == ("1", "1")
    assert gauges["requests_per_minute"].remaining == "2"
    assert tokens.resets
    assert [lease.lease_id for lease in response.context["loose"]] == ["one"]


def test_a_reset_gives_back_one_limit_or_all_and_is_written_down(
    addresses: dict[str, str], boss: Client, alice: User
) -> None:
    def left() -> dict[str, int]:
        return {state.rule.name: state.remaining for state in limiter.peek_sync(subject_of(alice), rules_for(alice))}

    whole = left()
    limiter.reserve_sync(subject_of(alice), rules_for(alice), lease_id="one", tokens=3000)
    limiter.settle_sync(subject_of(alice), lease_id="one", tokens=3000, cost=0)
    boss.post(addresses["admin:chat_user_limits_reset"], {"rule": "requests_per_minute"})
    assert left()["requests_per_minute"] == whole["requests_per_minute"]
    assert left()["tokens_per_day"] < whole["tokens_per_day"]
    boss.post(addresses["admin:chat_user_limits_reset"])
    assert left()["tokens_per_day"] > whole["tokens_per_day"] - 3000
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Reset the limit requests_per_minute.",
        "Reset all limits.",
    ]
    assert boss.post(addresses["admin:chat_user_limits_reset"], {"rule": "no such"}).status_code == 404


def test_recent_refusals_say_which_limit(addresses: dict[str, str], boss: Client, alice: User) -> None:
    Plan.objects.filter(is_default=True).update(concurrent_answers=0)
    with pytest.raises(limiter.errors.LimitExceeded):
        limiter.reserve_sync(subject_of(alice), rules_for(alice), lease_id="one", tokens=3000)
    response = boss.get(addresses["admin:chat_user_limits"])
    assert "0 answers at the same time" in response.context["refusals"][0].rules
    assert "blocked" in response.content.decode()


# Health.


def test_health_names_what_is_wrong(boss: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "recent_faults", list)

    def texts() -> str:
        return " ".join(str(notice.text) for notice in boss.get("/admin/chat/usagerecord/health/").context["notices"])

    assert "demo model" in texts()
    settings.OPENAI_API_KEY = "sk-canary-0123456789"
    settings.CHAT_MODEL = "house-model"
    if not upstream.is_demo():
        ChatModel.objects.create(name="house-model")
        assert "No price is known for house-model" in texts()
        ModelPrice.objects.all().delete()
        assert "cost limits bind nobody" in texts()
    Plan.objects.update(is_default=False)
    assert "No plan is the default" in texts()
    old = timezone.now() - 2 * ServerProcess.STALE_AFTER
    ServerProcess.objects.create(host="web-1", pid=1, heartbeat_at=old)
    assert "1 server process went silent" in texts()
    for number in range(2):
        ServerProcess.objects.create(host="web-2", pid=number)
    assert "without Redis" in texts()
    book(None, status="failed", reason="upstream-misconfigured", cost=0)
    assert "rejected the key" in texts()
    assert "sk-canary" not in boss.get("/admin/chat/usagerecord/health/").content.decode()


def test_health_counts_the_faults_of_the_last_hour(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "recent_faults", list)  # those of other tests in this process
    for reason, times in (("upstream-busy", 3), ("restarted", 1)):
        for _ in range(times):
            book(None, status="failed", reason=reason)
    book(None, status="failed", reason="upstream-timeout", created_at=timezone.now() - 2 * health.HOUR)
    faults = boss.get("/admin/chat/usagerecord/health/").context["faults"]
    assert {line.code: line.count for line in faults} == {"upstream-busy": 3, "restarted": 1}
    assert "busy" in faults[0].sentence


def test_health_says_that_the_cache_does_not_answer(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        def ask() -> None:
            raise ConnectionError("redis://:password@host")

        return ask

    monkeypatch.setattr(health, "_ask_cache", broken)
    response = boss.get("/admin/chat/usagerecord/health/")
    database, cache, *_others = response.context["services"]
    assert (database.answers, cache.answers) == (True, False)
    assert "password" not in response.content.decode()
    assert health.summary()[0] == "bad"


def test_who_wrote_in_the_admin_log_cannot_be_deleted_with_it(alice: User, boss: Client) -> None:
    sam = User.objects.create_user("sam", is_staff=True)
    LogEntry.objects.create(user=sam, object_repr="a plan", action_flag=2)
    one = boss.post(reverse("admin:chat_user_delete", args=(sam.pk,)), {"post": "yes"})
    many = {"action": "delete_selected", "_selected_action": [alice.pk, sam.pk], "post": "yes"}
    both = boss.post(reverse("admin:chat_user_changelist"), many)
    for refused in (one, both):
        assert "sam wrote in the admin log" in refused.content.decode()
    assert User.objects.filter(username__in=("alice", "sam")).count() == 2
    assert LogEntry.objects.filter(user=sam).exists()


def test_a_person_is_deleted_with_a_conversation_of_any_length(alice: User, boss: Client) -> None:
    chat, parent = Conversation.objects.create(user=alice), None
    for number in range(1200):
        role = "assistant" if number % 2 else "user"
        parent = Message.objects.create(conversation=chat, parent=parent, role=role, content="x")
    address = reverse("admin:chat_user_delete", args=(alice.pk,))
    page = boss.get(address)
    counts = dict(page.context["model_count"])
    assert counts == {"users": 1, "conversations": 1, "messages": 1200, "API keys": 0, "limit overrides": 0}
    assert page.context["deleted_objects"] == [alice]
    assert boss.post(address, {"post": "yes"}).status_code == 302
    assert not Message.objects.exists()


def test_who_may_not_delete_a_persons_keys_may_not_delete_the_person(alice: User) -> None:
    api_keys.create(alice, "laptop")
    address = reverse("admin:chat_user_delete", args=(alice.pk,))
    rights = ["chat.delete_user", "chat.view_user"]
    assert staff(*rights, name="lacking").post(address, {"post": "yes"}).status_code == 403
    assert staff(*rights, "chat.delete_apikey", name="having").post(address, {"post": "yes"}).status_code == 302


def saved(boss: Client, person: User, **changes: str) -> Any:
    """Posts the form of a person with only `changes` changed; an empty change takes a tick away."""
    address = reverse("admin:chat_user_change", args=(person.pk,))
    fields = boss.get(address).context["adminform"].form.initial
    kept = {name: value for name, value in fields.items() if value not in (None, False, [])}
    return boss.post(address, {name: value for name, value in {**kept, **changes}.items() if value != ""})


def test_somebody_is_always_left_to_give_rights(boss: Client) -> None:
    me = User.objects.get(is_superuser=True)
    for tick in ("is_superuser", "is_active"):
        assert b"This is the last superuser." in saved(boss, me, **{tick: ""}).content
    refused = boss.post(reverse("admin:chat_user_delete", args=(me.pk,)), {"post": "yes"})
    assert b"No superuser would be left." in refused.content
    assert saved(boss, me, first_name="Sam").status_code == 302
    other = User.objects.create_superuser("other")
    many = {"action": "delete_selected", "_selected_action": [me.pk, other.pk], "post": "yes"}
    assert b"No superuser would be left." in boss.post(reverse("admin:chat_user_changelist"), many).content
    assert saved(boss, other, is_superuser="").status_code == 302
    assert b"This is the last superuser." in saved(boss, me, is_active="").content
    me.refresh_from_db()
    assert (me.first_name, me.is_active, me.is_superuser) == ("Sam", True, True)


def test_a_moment_is_chosen_in_the_zone_of_the_site(alice: User, boss: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    fields = {"user": alice.pk, "rule": "cost_per_day", "value": 5, "reason": "x", "expires_at": "2027-07-01T18:30"}
    assert boss.post(reverse("admin:chat_limitoverride_add"), fields).status_code == 302
    override = LimitOverride.objects.get(user=alice)
    assert override.expires_at == dt.datetime(2027, 7, 1, 16, 30, tzinfo=dt.UTC)
    page = boss.get(reverse("admin:chat_limitoverride_change", args=(override.pk,))).content
    assert b'value="2027-07-01T18:30:00"' in page


def test_a_deleted_person_leaves_the_amounts_and_the_readings(alice: User, boss: Client, ledger: UsageRecord) -> None:
    ConversationReading.objects.create(
        conversation_id=ledger.conversation_id, owner=alice, reader_name="boss", reason="x"
    )
    assert boss.post(reverse("admin:chat_user_delete", args=(alice.pk,)), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(username="alice").exists()
    assert [(row.user_id, row.cost) for row in UsageRecord.objects.all()] == [(None, 1_500_000)]
    assert [(row.user_id, row.cost) for row in DailyUsage.objects.all()] == [(None, 1_500_000)]
    assert ConversationReading.objects.get().owner_id is None
