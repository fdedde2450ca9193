"""Prompts, answers and the key are in no log, no error and no table but the one they belong to."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from tests.fakes import FakeUpstream, error, raw, reset_after, text
from tests.site import Site, ids_in

KEY = "sk-canary-key-0123456789"
PROMPT = "canaryprompt"
ANSWER = "canaryanswer"
THEIRS = {"chat_message", "chat_conversation", "chat_searchentry", "chat_search"}


def test_nothing_that_was_said_is_logged_or_stored_elsewhere(
    make_site: Callable[..., Site], upstream: FakeUpstream
) -> None:
    site = make_site(OPENAI_API_KEY=KEY, LOG_LEVEL="DEBUG")
    site.start()
    alice = site.person("alice")
    shown = ""
    scripts = [
        text(f"{ANSWER} one"),
        error(401),
        error(429, headers={"Retry-After": "60"}),
        error(400),
        error(500),
        reset_after(f"{ANSWER} two "),
        raw(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{ANSWER}</p>".encode()),
    ]
    for script in scripts:
        upstream.default = lambda request, script=script: script
        response = alice.send(f"{PROMPT} please")
        chat, answer = ids_in(response)
        alice.answer(answer) if script is scripts[0] else None
        deadline = time.monotonic() + 10
        while 'data-status="streaming"' in (page := alice.http.get(f"/c/{chat}/").text) and time.monotonic() < deadline:
            time.sleep(0.05)
        shown += page
    alice.http.get("/search/", params={"q": PROMPT})
    alice.http.get(f"/nothing/{PROMPT}/")
    alice.send(PROMPT, model=PROMPT)
    sam = site.person("sam")
    for path in ("/admin/", "/admin/chat/usagerecord/", "/admin/chat/usagerecord/health/", "/admin/chat/user/"):
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
            if not table.startswith(tuple(THEIRS)):
                assert PROMPT not in rows, table
                assert ANSWER not in rows, table
