"""Every page of the site is for everyone: axe-core finds nothing on it, in both schemes, at both sizes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.urls import URLPattern

import chat.urls
import chatsite.urls
from chat import errors
from tests.browser.conftest import PEOPLE, SHOWCASE, Browser
from tests.site import Site

ADDRESSES = """
from chat.accounts.invitations import invitation_url
from chat.models import User
print(invitation_url(User.objects.get(username="erin")))
"""
PAGES = {
    "home": "/",
    "conversation": "{showcase}",
    "conversations": "/conversations/",
    "search": "/search/?q=words",
    "settings": "/settings/",
    "delete-all": "/settings/delete-all/",
    "usage": "/usage/",
    "api-docs": "/api/docs",
    "password_change": "/accounts/password/",
    "password_change_done": "/accounts/password/done/",
}
STRANGERS = {
    "login": "/accounts/login/",
    "signup": "/accounts/signup/",
    "password_reset": "/accounts/reset/",
    "password_reset_done": "/accounts/reset/done/",
    "password_reset_confirm": "{invitation}",
    "password_reset_complete": "/accounts/welcome/done/",
}
NO_PAGES = {
    *(
        "send-first",
        "send",
        "rename",
        "delete",
        "undelete",
        "add-key",
        "revoke-key",
        "end-sessions",
        "logout",
        "conversation-settings",
    ),
    *("show", "stop", "regenerate", "edit", "continue"),  # actions
    *("export", "export-all", "part", "stream", "favicon", "admin-login"),  # files, fragments, ways to pages
    *("api-chat", "api-chat-stream", "api-chat-stop", "api-openapi", "api-completion", "stream-check"),
    *("healthz", "readyz", "metrics"),
}
ERRORS = ("400.html", "403.html", "403_csrf.html", "404.html", "500.html", "503.html")


def test_no_page_is_forgotten() -> None:
    patterns = [*chat.urls.urlpatterns, *chatsite.urls.urlpatterns]
    own = {pattern.name for pattern in patterns if isinstance(pattern, URLPattern)}
    assert own == {*PAGES, *STRANGERS, *NO_PAGES}


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[tuple[Site, dict[str, str]]]:
    """A site where anybody may sign up and mail is sent, with the addresses of two of its pages."""
    folder = tmp_path_factory.mktemp("open")
    shutil.copy(migrated, folder / "site.sqlite3")
    site = Site(folder, SIGNUP="1", EMAIL_URL="smtp://127.0.0.1:9?from=chat@example.org")
    site.shell(PEOPLE)
    showcase = f"/c/{site.shell(SHOWCASE)}/"
    invitation = site.shell(ADDRESSES).splitlines()[-1]
    site.start()
    yield site, {"showcase": showcase, "invitation": invitation}
    site.stop()


def test_axe_finds_nothing_on_any_page(
    browser: Browser,
    open_site: tuple[Site, dict[str, str]],
    violations: Callable[[Any], list[str]],
    size: str,
) -> None:
    site, addresses = open_site
    there = replace(browser, site=site, logins={})
    for name, pages in (("alice", PAGES), (None, STRANGERS)):
        page = there.open("/", name, size)
        for path in pages.values():
            answered = page.goto(path.format(**addresses))
            assert answered.status == 200, path
            page.wait_for_load_state()
            assert violations(page) == [], path
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
    for template in ERRORS:
        show(page, render_to_string(template, {"title": template, "error": errors.DatabaseUnavailable()}))
        assert violations(page) == [], template


def show(page: Any, html: str) -> None:
    """As an answer of the site, with its style sheets."""
    page.route("**/broken", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("/broken")
    page.unroute("**/broken")
