"""Prompts, answers and the API key are in no log, no error and no table except their own."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

from tests.fakes import (
    FakeProvider,
    Hang,
    close_after,
    error,
    event,
    hang,
    hang_after_headers,
    raw,
    reset,
    reset_after,
    stream,
    text,
)
from tests.site import Person, Site, ids_in
from tests.waiting import wait_until

KEY = "sk-canary-key-0123456789"
PROMPT = "canaryprompt"
ANSWER = "canaryanswer"
RUNNING = re.compile('data-status="(pending|streaming)"')
TABLES_WITH_TEXT = {"chat_message", "chat_conversation", "chat_searchentry", "chat_search"}


def page_at_rest(person: Person, chat: str) -> str:
    """The page of a conversation, once its answer has ended."""
    page = person.http.get(f"/c/{chat}/").text
    return "" if RUNNING.search(page) else page


def test_prompts_answers_and_the_key_are_not_logged_or_stored_elsewhere(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site(OPENAI_API_KEY=KEY, LOG_LEVEL="DEBUG", CHAT_FIRST_TOKEN_TIMEOUT="1", CHAT_STALL_TIMEOUT="0.5")
    site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, tokens_per_minute=None)")
    site.start()
    alice = site.person("alice")
    shown = ""
    wording = f"{PROMPT} {ANSWER} {KEY}"
    scripts = [
        text(f"{ANSWER} one"),
        *(error(status, message=wording) for status in (400, 401, 403, 404, 413, 422, 500, 502, 503, 504)),
        error(400, code="context_length_exceeded", message=wording),
        error(429, message=wording, headers={"Retry-After": "60"}),
        error(429, code="insufficient_quota", message=wording, headers={"Retry-After": "86400"}),
        error(302, message=wording, headers={"Location": f"http://127.0.0.1:1/{PROMPT}"}),
        hang(),
        hang_after_headers(),
        reset(),
        reset_after(f"{ANSWER} two "),
        close_after(f"{ANSWER} three "),
        stream(f"{ANSWER} four ", Hang()),
        stream(f"{ANSWER} five ", event({"error": {"message": wording}})),
        stream(f"{ANSWER} six ", f"data: {{broken {wording}\n\n".encode()),
        stream(f"{ANSWER} seven ", f"data: {wording}".encode() + b"\xff\xfe\n\n"),
        text(f"{ANSWER} eight", finish="content_filter"),
        text(f"{ANSWER} nine", finish="length"),
        raw(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{wording}</p>".encode()),
        raw(f"{wording}\r\n\r\n".encode()),
    ]
    for script in scripts:
        upstream.default = lambda request, script=script: script
        response = alice.send(f"{PROMPT} please")
        chat, answer = ids_in(response)
        alice.answer(answer) if script is scripts[0] else None
        shown += wait_until(lambda chat=chat: page_at_rest(alice, chat), interval=0.05)  # type: ignore[misc]
    alice.http.get("/search/", params={"q": PROMPT})
    alice.http.get(f"/nothing/{PROMPT}/")
    alice.send(PROMPT, model=PROMPT)
    sam = site.person("sam")
    usage = "/admin/chat/usagerecord/"
    for path in ("/admin/", usage, f"{usage}health/", f"{usage}running/", f"{usage}dashboard/", "/admin/chat/user/"):
        page = sam.http.get(path).text
        assert PROMPT not in page
        assert ANSWER not in page
        shown += page
    assert KEY not in shown
    log = site.log
    for canary in (KEY, PROMPT, ANSWER, "sessionid=", "alice-password"):
        assert canary not in log, log[max(log.index(canary) - 500, 0) :][:800]
    with open(f"/proc/{site.processes[0].pid}/cmdline") as title:
        assert KEY not in title.read()
    site.stop()
    with closing(sqlite3.connect(site.folder / "site.sqlite3")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = repr(database.execute(f'SELECT * FROM "{table}"').fetchall())
            assert KEY not in rows, table
            if not table.startswith(tuple(TABLES_WITH_TEXT)):
                assert PROMPT not in rows, table
                assert ANSWER not in rows, table
