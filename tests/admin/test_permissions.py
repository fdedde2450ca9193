"""Which page opens for which permission, and what nobody may do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from chat.admin import pages
from chat.models import Conversation, ConversationReading, Message, UsageRecord, User
from tests.admin.rows import REASON, SECRET, add_record, staff

pytestmark = pytest.mark.django_db

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
POSTED = ("admin:chat_stop", "admin:chat_user_limits_reset")
# Stopping an answer reads the database from another thread, which does not see an open transaction.
NAMES = [
    pytest.param(name, marks=pytest.mark.django_db(transaction=True)) if name == "admin:chat_stop" else name
    for name in RIGHTS
]


def request(client: Client, name: str, address: str) -> Any:
    return client.post(address) if name in POSTED else client.get(address)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_sends_everybody_but_staff_to_the_login(name: str, addresses: dict[str, str], alice: User) -> None:
    user = Client()
    user.force_login(alice)
    for outsider in (Client(), user):
        response = request(outsider, name, addresses[name])
        assert response.status_code == 302
        assert "login" in response.headers["Location"]


@pytest.mark.parametrize("name", NAMES)
def test_staff_without_one_of_the_permissions_get_a_403(name: str, addresses: dict[str, str]) -> None:
    rights = RIGHTS[name]
    assert request(staff(name="new"), name, addresses[name]).status_code == 403
    others = set().union(*RIGHTS.values(), ["chat.view_user"]) - set(rights)
    for right in rights:
        lacking = staff(*others, *(set(rights) - {right}), name=right[:150])
        assert request(lacking, name, addresses[name]).status_code == 403, right
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_opens_with_its_permissions(name: str, addresses: dict[str, str], boss: Client) -> None:
    expected = 302 if name in POSTED else 200
    assert request(staff(*RIGHTS[name]), name, addresses[name]).status_code == expected
    assert request(boss, name, addresses[name]).status_code == expected


@pytest.mark.parametrize("name", POSTED)
def test_a_change_is_no_get(name: str, addresses: dict[str, str], boss: Client) -> None:
    assert boss.get(addresses[name]).status_code == 405


def registered_models() -> list[Any]:
    return [model for model in apps.get_models() if admin.site.is_registered(model)]


def stock_pages() -> dict[str, str]:
    """The pages of Django for each registered model, with the permission of each."""
    rights = {"changelist": "view", "add": "add", "change": "view", "delete": "delete", "history": "view"}
    return {
        f"admin:{meta.app_label}_{meta.model_name}_{page}": f"{meta.app_label}.{right}_{meta.model_name}"
        for meta in (model._meta for model in registered_models())
        for page, right in rights.items()
    }


def test_every_page_of_the_admin_is_one_whose_permission_is_known() -> None:
    names = {f"admin:{name}" for name in get_resolver().namespace_dict["admin"][1].reverse_dict if type(name) is str}
    of_the_site = "index login logout password_change password_change_done autocomplete jsi18n view_on_site app_list"
    known = {f"admin:{name}" for name in (*of_the_site.split(), "auth_user_password_change")}
    assert names >= set(RIGHTS)
    assert names - known - set(RIGHTS) - set(stock_pages()) == set()


LISTS_AND_FORMS = [item for item in stock_pages().items() if item[0].endswith(("_changelist", "_add"))]
NEVER = ("chat.add_usagerecord", "chat.add_conversationreading", "chat.add_apikey")


@pytest.mark.parametrize(("name", "right"), LISTS_AND_FORMS)
def test_a_list_or_form_sends_everybody_but_staff_to_the_login(name: str, right: str, alice: User) -> None:
    user = Client()
    user.force_login(alice)
    assert [outsider.get(reverse(name)).status_code for outsider in (Client(), user)] == [302, 302]


@pytest.mark.parametrize(("name", "right"), LISTS_AND_FORMS)
def test_a_list_or_form_is_a_403_without_its_permission(name: str, right: str) -> None:
    app, codename = right.split(".")
    others = Permission.objects.exclude(content_type__app_label=app, codename=codename)
    if codename.startswith("view_"):  # the permission to change includes that to view
        others = others.exclude(content_type__app_label=app, codename=codename.replace("view_", "change_"))
    sam = User.objects.create_user("sam", is_staff=True)
    sam.user_permissions.set(others)
    client = Client()
    client.force_login(sam)
    assert client.get(reverse(name)).status_code == 403


@pytest.mark.parametrize(("name", "right"), LISTS_AND_FORMS)
def test_a_list_or_form_opens_for_superusers_unless_nobody_may_add(name: str, right: str, boss: Client) -> None:
    assert boss.get(reverse(name)).status_code == (403 if right in NEVER else 200)


@pytest.mark.parametrize("name", [name for name in RIGHTS if name not in POSTED])
def test_a_page_takes_few_queries(name: str, addresses: dict[str, str], boss: Client) -> None:
    for number in range(30):
        add_record(User.objects.create_user(f"person-{number}"), cost=1, first_token_ms=400)
    with CaptureQueriesContext(connection) as queries:
        boss.get(addresses[name])
    assert len(queries) <= 15


@pytest.mark.parametrize("name", [name for name in RIGHTS if name not in POSTED])
def test_a_page_has_no_inline_style_or_script(name: str, addresses: dict[str, str], boss: Client) -> None:
    html = boss.get(addresses[name]).content.decode()
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", html)


def test_the_front_page_shows_todays_usage(addresses: dict[str, str], boss: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        html = boss.get(reverse("admin:index")).content.decode()
    assert len(queries) <= 15
    assert addresses["admin:chat_dashboard"] in html
    assert "$1.50" in html


def test_the_front_page_hides_usage_from_those_who_may_not_see_it(addresses: dict[str, str]) -> None:
    html = staff("chat.view_plan").get(reverse("admin:index")).content.decode()
    assert addresses["admin:chat_dashboard"] not in html


def test_no_page_shows_text_of_a_conversation(addresses: dict[str, str], boss: Client) -> None:
    urls = [address for name, address in addresses.items() if name not in POSTED]
    for model in registered_models():
        urls.append(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
    urls += [reverse(f"admin:chat_user_{page}", args=(1,)) for page in ("change", "delete", "history")]
    for url in (*urls, reverse("admin:index")):
        response = boss.get(url)
        assert response.status_code == 200, url
        assert SECRET not in response.content.decode(), url


@pytest.mark.parametrize("model", [Conversation, Message])
def test_the_admin_has_no_form_for_text(model: Any) -> None:
    assert not admin.site.is_registered(model)


def test_nobody_adds_changes_or_deletes_ledger_rows(addresses: dict[str, str], boss: Client) -> None:
    rows, row = addresses["admin:chat_usagerecord_changelist"], addresses["admin:chat_usagerecord_change"]
    before = list(UsageRecord.objects.values())
    delete = {"action": "delete_selected", "_selected_action": [before[0]["id"]], "post": "yes"}
    for method in (boss.get, boss.post):
        assert method(reverse("admin:chat_usagerecord_add")).status_code == 403
        assert method(reverse("admin:chat_usagerecord_delete", args=(before[0]["id"],))).status_code == 403
    assert boss.post(row, {"cost": 0}).status_code == 403
    assert boss.post(rows, delete).status_code in (200, 302)
    assert list(UsageRecord.objects.values()) == before


@pytest.mark.parametrize("name", [*POSTED, "admin:chat_read"])
def test_a_post_without_the_csrf_token_does_nothing(name: str, addresses: dict[str, str], running: Message) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    assert client.post(addresses[name], {"reason": REASON}).status_code == 403
    running.refresh_from_db()
    assert not running.stop_requested
    assert not ConversationReading.objects.exists()
    assert not LogEntry.objects.exists()
