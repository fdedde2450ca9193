"""The database is unavailable or its disk is full; an answer has very many readers, or readers that do not read."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import servers
from tests.answers import wait_for_status
from tests.fakes import FakeProvider, Gate, gated, tokens
from tests.services import Proxy
from tests.site import Site, ids_in
from tests.waiting import wait_until

KILOBYTES = 300
ROWS = (
    "from chat.models import UsageRecord, Message\n"
    "print(UsageRecord.objects.count(), Message.objects.running().count())"
)


def wait_for_failed_checkpoints(site: Site, count: int) -> None:
    """Wait until the site could not save running answers so many times more."""

    def failures() -> int:
        return site.log.count("a checkpoint failed")

    before = failures()
    wait_until(lambda: failures() >= before + count)


def test_an_answer_continues_while_the_database_is_unavailable(
    make_site: Callable[..., Site], postgres: str, upstream: FakeProvider
) -> None:
    parts = urlsplit(postgres)
    proxy = Proxy(parts.port or 5432)
    site = make_site(DATABASE_URL=postgres.replace(f":{parts.port or 5432}/", f":{proxy.port}/"))
    site.start()
    alice = site.person("alice")
    token = alice.csrf()
    gate = Gate()
    upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    chat, answer = ids_in(alice.send("go"))
    gate.wait_until_reached()
    with alice.watch(answer) as response:
        pieces = response.iter_text()
        assert next(pieces) == "before "
        proxy.cut()
        refused = alice.http.post(
            "/c/", data={"prompt": "typed text"}, headers={"X-CSRFToken": token, "HX-Request": "true"}
        )
        assert refused.status_code == 503
        gate.open()
        wait_for_failed_checkpoints(site, 2)
        proxy.mend()
        assert "".join(pieces) == "after"
    assert wait_for_status(alice, chat, answer, "complete")
    assert site.shell(ROWS) == "1 0"
    proxy.close()


def test_an_answer_continues_while_sqlite_is_locked(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.enqueue(tokens(40, interval=0.02))
    chat, answer = ids_in(alice.send("go"))
    lock = sqlite3.connect(site.folder / "site.sqlite3", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    threading.Timer(3, lock.rollback).start()
    assert alice.answer(answer).split()[-1] == "word39"
    assert wait_for_status(alice, chat, answer, "complete")
    lock.close()
    assert site.shell(ROWS) == "1 0"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    assert not os.statvfs(disk).f_bavail
    return ballast


def test_with_a_full_disk_messages_are_refused_and_pages_can_be_read(
    make_site: Callable[..., Site], small_disk: Path, migrated: Path, upstream: FakeProvider
) -> None:
    shutil.copy(migrated, small_disk / "site.sqlite3")
    site = make_site(DATABASE_URL=f"sqlite:///{small_disk}/site.sqlite3".replace("///", "////", 1))
    site.start()
    alice = site.person("alice")
    chat, old, _text = alice.ask("an old question")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    running, answer = ids_in(alice.send("go"))
    gate.wait_until_reached()
    token = alice.csrf()
    ballast = fill(small_disk)
    refused = alice.http.post(f"/c/{chat}/messages/", data={"prompt": "typed text"}, headers={"X-CSRFToken": token})
    assert refused.status_code == 503
    assert "typed text" in refused.text
    for _ in range(3):
        assert "an old question" in alice.http.get(f"/c/{chat}/").text
        assert alice.answer(old) == "an old question "
    assert alice.http.get("/readyz").status_code == 200
    with alice.watch(answer) as response:
        pieces = response.iter_text()
        assert next(pieces) == "before "
        gate.open()
        wait_for_failed_checkpoints(site, 2)
        ballast.unlink()
        assert "".join(pieces) == "after"
    assert wait_for_status(alice, running, answer, "complete")
    assert alice.send("and now?", chat).status_code == 200
    with contextlib.closing(sqlite3.connect(small_disk / "site.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    site.stop()
    assert site.shell(ROWS) == "3 0"


def test_many_readers_share_one_call_and_the_oldest_are_closed(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["one "], after=["two"]))
    answer = ids_in(alice.send("go"))[1]
    gate.wait_until_reached()
    opened = threading.Semaphore(0)
    closed: list[str] = []

    def watch(_number: int) -> str:
        with alice.watch(answer, "html") as response:
            pieces = response.iter_text()
            text = next(pieces)
            opened.release()
            text += "".join(pieces)
            closed.append(text)
            return text

    with ThreadPoolExecutor(36) as pool:
        early = [pool.submit(watch, number) for number in range(4)]
        for _ in early:
            assert opened.acquire(timeout=20)
        late = [pool.submit(watch, number) for number in range(32)]
        for _ in late:
            assert opened.acquire(timeout=20)
        ends = [future.result(10) for future in early]
        assert all("event: done" in end and "two" not in end for end in ends), "closed before the model sends more"
        gate.open()
        assert all('data-status="complete"' in future.result(20) for future in late)
    assert len(upstream.chats()) == 1
    ids = [re.findall(r"^id: (\d+)$", text, re.MULTILINE) for text in closed]
    assert all(numbers == sorted(numbers, key=int) for numbers in ids)


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_hundred_readers_that_do_not_read_need_no_more_memory_than_the_answers(
    make_site: Callable[..., Site], upstream: FakeProvider, server: str
) -> None:
    """A user has at most 32 readers, so they belong to four users."""
    site = make_site()
    names = [f"reader{number}" for number in range(4)]
    site.add_people(*names)
    site.start(server)
    gate = Gate()
    long = ["x" * 1023 + " "] * KILOBYTES
    upstream.always(gated(gate, before=["begun "], after=long))
    readers = []
    before = servers.resident(site)
    answers = []
    for person in [site.person(name) for name in names]:
        chat, answer = ids_in(person.send("go"))
        answers.append((person, chat, answer))
        readers += [servers.open_slow(site, person, answer) for _ in range(25)]
    gate.wait_until_reached(4)
    gate.open()
    for person, chat, answer in answers:
        assert wait_for_status(person, chat, answer, "truncated")
        whole = person.answer(answer)
        assert whole.startswith("begun xxx"), "another reader is not delayed"
    assert servers.resident(site) - before < len(readers) * len(whole) / 2**20 + 32
    for reader in readers:
        reader.close()
    assert len(upstream.chats()) == 4
