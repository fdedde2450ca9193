"""Send a message, stream its answer, store it and record its usage: one user, one process, real sockets."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from chat.models import Conversation, Message, User
from chat.web import pages
from tests.answers import wait_for_status
from tests.crashes import call_after
from tests.fakes import FakeProvider, Gate, error, gated, reset_after, text, tokens
from tests.site import Person, Site, ids_in

RECORDS = (
    "from chat.models import UsageRecord\n"
    "for r in UsageRecord.objects.order_by('created_at'):\n"
    "    print(r.status, r.reason or '-', r.prompt_tokens, r.completion_tokens, r.exact, r.cost)"
)


def test_a_message_is_answered_stored_and_recorded(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.enqueue(text("Hel", "lo **world**", usage=(12, 3)))
    chat, answer, said = alice.ask("Say hello")
    assert said == "Hello **world**"
    assert wait_for_status(alice, chat, answer, "complete")
    page = alice.http.get(f"/c/{chat}/").text
    assert "Say hello" in page
    assert "<strong>world</strong>" in page
    sent = upstream.history[0]
    assert sent["headers"]["authorization"] == "Bearer sk-test"
    assert sent["json"]["messages"][-1] == {"role": "user", "content": "Say hello"}
    assert site.shell(RECORDS) == "complete - 12 3 True 4"


def test_the_next_message_carries_the_conversation(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    chat, _answer, first = alice.ask("My name is Ada")
    alice.ask("What is my name?", chat)
    assert [(turn["role"], turn["content"]) for turn in upstream.history[1]["json"]["messages"]] == [
        ("user", "My name is Ada"),
        ("assistant", first),
        ("user", "What is my name?"),
    ]


def test_every_reader_gets_the_whole_answer_whenever_it_connects(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["one ", "two "], after=["three ", "four"]))
    _chat, answer = ids_in(alice.send("count"))
    gate.wait_until_reached()
    started = threading.Semaphore(0)

    def read() -> str:
        with alice.watch(answer) as response:
            pieces = response.iter_text()
            text = next(pieces)
            started.release()
            return text + "".join(pieces)

    with ThreadPoolExecutor(12) as pool:
        early = [pool.submit(read) for _ in range(6)]
        assert all(started.acquire(timeout=20) for _ in early)
        gate.open()
        late = [pool.submit(alice.answer, answer) for _ in range(6)]
        assert {future.result() for future in early + late} == {"one two three four"}
    assert len(upstream.history) == 1


def test_an_html_stream_resumes_after_the_characters_shown(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.enqueue(tokens(30, interval=0.02))
    _chat, answer = ids_in(alice.send("go"))
    with alice.watch(answer, "html") as response:
        seen = b""
        for piece in response.iter_raw():
            seen += piece
            if seen.count(b"\nid: ") >= 3:
                break
    last = re.findall(rb"^id: (\d+)$", seen, re.MULTILINE)[-1].decode()
    with alice.watch(answer, "html", **{"Last-Event-ID": last}) as response:
        rest = response.read().decode()
    assert "event: done" in rest
    assert 'data-status="complete"' in rest
    assert "word29" in rest
    assert len(upstream.history) == 1


def test_stop_keeps_the_text_and_closes_the_connection_to_the_provider(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["kept "], after=["never"]))
    chat, answer = ids_in(alice.send("go"))
    gate.wait_until_reached()
    assert alice.post(f"/m/{answer}/stop/").status_code == 204
    assert upstream.history[0]["left"].wait(2)
    assert wait_for_status(alice, chat, answer, "stopped")
    assert alice.answer(answer) == "kept "
    assert site.shell(RECORDS).startswith("stopped - ")


def stop(person: Person, answer: str) -> None:
    assert person.post(f"/m/{answer}/stop/").status_code == 204


def test_stop_works_at_any_time(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    for pause in (0.0, 0.0, 0.005, 0.02, 0.05, 0.12, 0.2):
        upstream.enqueue(tokens(12, interval=0.01))
        chat, answer = ids_in(alice.send("go"))
        call_after(pause, lambda answer=answer: stop(alice, answer))  # type: ignore[misc]
        assert wait_for_status(alice, chat, answer, "stopped", "complete")
    assert len(site.shell(RECORDS).splitlines()) == 7


def test_the_same_form_sent_many_times_is_one_message(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    token = alice.csrf()
    key = str(uuid.uuid4())

    def send(_n: int) -> tuple[str, str]:
        data = {"prompt": "once", "client_key": key}
        response = alice.http.post("/c/", data=data, headers={"X-CSRFToken": token, "HX-Request": "true"})
        assert response.status_code == 200, response.text
        answer = re.search(r'id="m-([0-9a-f-]{36})" data-role="assistant"', response.text)
        assert answer
        return response.headers["HX-Push-Url"], answer[1]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1
    answer = send(0)[1]
    alice.answer(answer)
    assert len(upstream.history) == 1
    assert site.shell("from chat.models import Message; print(Message.objects.count())") == "2"
    assert alice.send("something else", key=key).status_code == 409


def targets(response: httpx2.Response) -> set[str]:
    return set(re.findall(r'hx-target="(#[a-z-]+)"', response.text))


def test_a_page_gets_the_parts_that_change_and_a_new_page_gets_all_parts(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.always(text("yes"))
    key = str(uuid.uuid4())
    first = alice.send("first", key=key)
    chat, answer = ids_in(first)
    alice.answer(answer)
    second = alice.send("second", chat)
    alice.answer(ids_in(second)[1])
    again = alice.send("first", key=key)
    whole = {"#composer-slot", "#conversations", "#topbar"}
    parts = {"#composer-actions", "#client-key", "#limit-status"}
    for response in (first, again):
        assert whole <= targets(response)
        assert f'hx-post="/c/{chat}/messages/"' in response.text
    assert parts <= targets(second)
    assert not whole & targets(second)
    keys = [re.findall(r'name="client_key" value="([0-9a-f-]{36})"', each.text) for each in (first, second, again)]
    assert len({one for [one] in keys} | {key}) == 4


def test_one_answer_at_a_time_in_a_conversation(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate))
    chat, answer = ids_in(alice.send("first"))
    gate.wait_until_reached()
    refused = alice.send("second", chat)
    assert refused.status_code == 409
    assert "Wait for the answer or stop it." in refused.text
    gate.open()
    alice.answer(answer)
    assert alice.send("second", chat).status_code == 200


def test_the_limit_refuses_with_the_exact_wait_and_calls_nobody(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site()
    site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=3)")
    site.start()
    alice, bob = site.person("alice"), site.person("bob")
    for _ in range(3):
        alice.ask("hello")
    refused = alice.send("one more")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert refused.headers["Retry-After"] in refused.text
    assert len(upstream.history) == 3
    plain = alice.post("/c/", {"prompt": "my long text"}, htmx=False)
    assert plain.status_code == 429
    assert "my long text" in plain.text
    assert bob.ask("hello")[2]


@pytest.mark.parametrize(
    ("script", "status", "sentence"),
    [
        (error(429, headers={"Retry-After": "30"}), "failed", "busy"),
        (error(500), "failed", "Try again in a moment"),
        (error(401), "failed", "not set up correctly"),
        (reset_after("some words "), "interrupted", "was interrupted"),
    ],
    ids=["busy", "broken", "wrong key", "cut"],
)
def test_an_error_of_the_provider_is_shown_with_advice(
    site: Site, upstream: FakeProvider, script: object, status: str, sentence: str
) -> None:
    upstream.always(script)  # type: ignore[arg-type]
    alice = site.person("alice")
    chat, answer = ids_in(alice.send("hello"))
    assert wait_for_status(alice, chat, answer, "failed", "interrupted") == status
    page = alice.http.get(f"/c/{chat}/").text
    assert sentence in page
    assert "Retry" in page
    assert len(site.shell(RECORDS).splitlines()) == 1


def test_retry_gives_another_answer_and_the_failed_one_is_not_sent(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.enqueue(error(401))
    chat, answer = ids_in(alice.send("hello"))
    wait_for_status(alice, chat, answer, "failed")
    response = alice.post(f"/m/{answer}/regenerate/")
    assert response.status_code == 200
    second = ids_in(response)[1]
    assert second != answer
    assert alice.answer(second)
    assert [turn["content"] for turn in upstream.history[-1]["json"]["messages"]] == ["hello"]


def test_continue_adds_to_the_text_of_the_answer(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    upstream.enqueue(text("The first half", finish="length"), text(" and the second."))
    chat, answer = ids_in(alice.send("go"))
    assert wait_for_status(alice, chat, answer, "truncated")
    response = alice.post(f"/m/{answer}/continue/")
    assert response.status_code == 200
    assert alice.answer(ids_in(response)[1]) == "The first half and the second."


def test_an_answer_stops_with_its_last_reader_if_so_configured(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site(CHAT_ON_DISCONNECT="cancel")
    site.start()
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["kept "]))
    chat, answer = ids_in(alice.send("go"))
    with alice.watch(answer) as response:
        next(response.iter_raw())
    assert upstream.history[0]["left"].wait(3)
    assert wait_for_status(alice, chat, answer, "stopped")


def test_an_answer_continues_when_its_reader_disconnects(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    chat, answer = ids_in(alice.send("go"))
    with alice.watch(answer) as response:
        next(response.iter_raw())
    gate.open()
    assert wait_for_status(alice, chat, answer, "complete")
    assert alice.answer(answer) == "before after"


def test_an_open_stream_holds_no_thread(site: Site, upstream: FakeProvider) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.always(gated(gate))
    answer = ids_in(alice.send("go"))[1]
    gate.wait_until_reached()
    count = f"/proc/{site.processes[-1].pid}/task"
    opened = threading.Semaphore(0)
    leave = threading.Event()

    def watch() -> None:
        with alice.watch(answer) as response:
            next(response.iter_raw())
            opened.release()
            leave.wait(20)

    threads = [threading.Thread(target=watch) for _ in range(24)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert opened.acquire(timeout=20)
    try:
        assert len(os.listdir(count)) < 16
    finally:
        leave.set()
        gate.open()
        for thread in threads:
            thread.join()


def test_the_command_ask_answers_in_the_terminal_and_is_recorded(make_site: Callable[..., Site]) -> None:
    site = make_site()
    result = site.manage("ask", "tell me", "--user", "alice")
    assert "tell me" in result.stdout
    assert site.shell(RECORDS).startswith("complete")
    assert "user" in site.manage("ask", "hello", "--user", "nobody", check=False).stderr


@pytest.mark.django_db
def test_an_answer_that_ended_while_its_page_was_made_leaves_no_stop_button() -> None:
    alice = User.objects.create_user("alice")
    conversation = Conversation.objects.create(user=alice)
    question = Message.objects.create(conversation=conversation, role="user", content="hi")
    answer = Message.objects.create(conversation=conversation, parent=question, role="assistant", status="pending")
    conversation.head = answer
    conversation.save()
    assert pages.chat_context(alice, conversation, conversation.message_page())["running"] == answer
    Message.objects.filter(pk=answer.pk).update(status="failed")
    assert pages.chat_context(alice, conversation, conversation.message_page())["running"] is None
