"""All thread-sensitive calls of a request run on one thread, which it holds only while something needs it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx2
import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.http import HttpResponse
from django.test import RequestFactory

from chat.infra.database_threads import run_in_db_thread
from chat.infra.request_thread_pool import MAX_THREADS, DatabaseThreadTimeout, RequestThread, RequestThreadPool
from chat.models import Conversation, User
from chatsite.error_views import server_error
from chatsite.server.handler import RequestHandler
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

MORE_THAN_THREADS = MAX_THREADS * 3


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.thread_site"
    settings.MIDDLEWARE = []


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


class Http:
    """Requests to the handler, without a server. `state` reaches the views."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"gate": asyncio.Event(), "waiting": 0}
        self.handler = RequestHandler()
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app), base_url="http://localhost")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.handler({**scope, "state": self.state}, receive, send)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    def start(self, path: str, count: int, **headers: str) -> list[asyncio.Task[httpx2.Response]]:
        return [asyncio.create_task(self.get(path, **headers)) for _ in range(count)]

    async def until_waiting(self, count: int) -> None:
        await await_until(lambda: self.state["waiting"] == count)


def run(test: Callable[[Http], Coroutine[Any, Any, None]]) -> None:
    async def with_client() -> None:
        http = Http()
        async with http.client:
            await test(http)

    asyncio.run(with_client())


def threads_of(responses: list[httpx2.Response]) -> list[set[int]]:
    return [set(response.json()["threads"]) for response in responses]


def test_all_calls_of_a_request_run_on_one_thread() -> None:
    async def test(http: Http) -> None:
        used = threads_of(await asyncio.gather(*http.start("/six-calls", MORE_THAN_THREADS)))
        assert [len(threads) for threads in used] == [1] * MORE_THAN_THREADS

    run(test)


def test_requests_share_a_few_threads() -> None:
    async def test(http: Http) -> None:
        used = threads_of(await asyncio.gather(*http.start("/six-calls", MORE_THAN_THREADS)))
        assert 1 < len(set.union(*used)) <= MAX_THREADS

    run(test)


def test_a_request_that_waits_for_something_else_holds_no_thread() -> None:
    async def test(http: Http) -> None:
        waiting = http.start("/wait-between-calls", MORE_THAN_THREADS)
        await http.until_waiting(MORE_THAN_THREADS)
        assert (await http.get("/one-call")).status_code == 200
        http.state["gate"].set()
        used = threads_of(await asyncio.gather(*waiting))
        assert [len(threads) for threads in used] == [1] * MORE_THAN_THREADS

    run(test)


def test_a_transaction_may_span_calls(alice: User) -> None:
    async def test(http: Http) -> None:
        (request,) = http.start("/transaction-across-calls", 1)
        await http.until_waiting(1)
        http.state["gate"].set()
        response = await request
        assert response.json()["seen"] == 1
        assert len(threads_of([response])[0]) == 1

    run(test)
    assert not Conversation.objects.exists()


def test_no_other_request_runs_on_the_thread_of_an_open_transaction(alice: User) -> None:
    async def test(http: Http) -> None:
        (request,) = http.start("/transaction-across-calls", 1)
        await http.until_waiting(1)
        others = threads_of(await asyncio.gather(*http.start("/six-calls", MORE_THAN_THREADS)))
        http.state["gate"].set()
        own = threads_of([await request])[0]
        assert not own & set.union(*others)

    run(test)


def test_autocommit_may_be_off_across_calls(alice: User) -> None:
    async def test(http: Http) -> None:
        assert (await http.get("/autocommit-off-across-calls")).json()["seen"] == 1

    run(test)
    assert not Conversation.objects.exists()


def test_a_transaction_that_a_request_leaves_open_is_rolled_back(alice: User) -> None:
    async def test(http: Http) -> None:
        left = await asyncio.gather(*http.start("/transaction-left-open", 1))
        assert not await Conversation.objects.filter(title="left open").aexists()
        later = await asyncio.gather(*http.start("/six-calls", MORE_THAN_THREADS))
        assert threads_of(left)[0] <= set.union(*threads_of(later)), "its thread serves no one any more"

    run(test)


@pytest.mark.parametrize("middleware", ["call_in_transaction", "HooksInTransaction"])
def test_a_synchronous_middleware_may_hold_a_transaction(alice: User, settings: Any, middleware: str) -> None:
    settings.MIDDLEWARE = [f"tests.thread_site.{middleware}"]

    async def test(http: Http) -> None:
        assert (await http.get("/write-and-fail")).status_code == 409
        assert not await Conversation.objects.aexists()

    run(test)


def test_the_calls_behind_a_synchronous_middleware_run_on_its_thread(settings: Any) -> None:
    settings.MIDDLEWARE = ["tests.thread_site.call_in_transaction"]

    async def test(http: Http) -> None:
        for response in await asyncio.gather(*http.start("/six-calls", 4)):
            assert set(response.json()["threads"]) == {int(response.headers["X-Thread"])}

    run(test)


def test_a_synchronous_middleware_may_keep_values_in_its_thread(settings: Any) -> None:
    settings.MIDDLEWARE = ["tests.thread_site.RememberName"]

    async def test(http: Http) -> None:
        names = [f"name-{number}" for number in range(MORE_THAN_THREADS)]
        responses = await asyncio.gather(*(http.get("/who", **{"X-Name": name}) for name in names))
        assert [response.headers["X-Name"] for response in responses] == names
        assert [response.json()["names"] for response in responses] == [[name] * 3 for name in names]

    run(test)


class Blocked:
    """A pool of one thread, which a call holds until `release`."""

    def __init__(self, max_wait: float) -> None:
        self.pool = RequestThreadPool(threads=1, max_wait=max_wait)
        self.gate = threading.Event()

    async def call(self, function: Callable[[], Any]) -> Any:
        request = RequestThread(self.pool)
        try:
            async with ThreadSensitiveContext(executor=request):
                return await sync_to_async(function)()
        finally:
            request.close()

    async def hold(self) -> asyncio.Task[Any]:
        started = threading.Event()

        def wait() -> None:
            started.set()
            self.gate.wait(30)

        task = asyncio.create_task(self.call(wait))
        await await_until(started.is_set)
        return task


@pytest.fixture
def blocked() -> Iterator[Callable[[float], Blocked]]:
    pools: list[Blocked] = []

    def make(max_wait: float) -> Blocked:
        pools.append(Blocked(max_wait))
        return pools[-1]

    yield make
    for pool in pools:
        pool.gate.set()


def test_a_request_waits_for_a_thread(blocked: Callable[[float], Blocked]) -> None:
    async def test() -> None:
        pool = blocked(30)
        holder = await pool.hold()
        waiting = [asyncio.create_task(pool.call(threading.get_ident)) for _ in range(20)]
        pool.gate.set()
        assert len(set(await asyncio.gather(*waiting))) == 1
        await holder

    asyncio.run(test())


def test_a_request_does_not_wait_for_a_thread_for_ever(blocked: Callable[[float], Blocked]) -> None:
    async def test() -> None:
        pool = blocked(0.1)
        holder = await pool.hold()
        with pytest.raises(DatabaseThreadTimeout):
            await pool.call(threading.get_ident)
        pool.gate.set()
        await holder

    asyncio.run(test())


def test_a_request_that_waited_too_long_does_not_wait_again(blocked: Callable[[float], Blocked]) -> None:
    async def test() -> None:
        pool = blocked(0.5)
        holder = await pool.hold()
        request = RequestThread(pool.pool)
        async with ThreadSensitiveContext(executor=request):
            with pytest.raises(DatabaseThreadTimeout):
                await sync_to_async(threading.get_ident)()
            started = time.monotonic()
            with pytest.raises(DatabaseThreadTimeout):
                await sync_to_async(threading.get_ident)()
            assert time.monotonic() - started < 0.5
        request.close()
        pool.gate.set()
        await holder

    asyncio.run(test())


def test_a_call_that_is_cancelled_while_it_waits_never_runs(blocked: Callable[[float], Blocked]) -> None:
    async def test() -> None:
        pool = blocked(30)
        holder = await pool.hold()
        ran: list[bool] = []
        waiting = asyncio.create_task(pool.call(lambda: ran.append(True)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        pool.gate.set()
        await holder
        await pool.call(threading.get_ident)
        assert not ran

    asyncio.run(test())


def slow_thread_id() -> int:
    """A call that takes a moment: another one at the same time would overlap with it."""
    time.sleep(0.01)
    return threading.get_ident()


def test_calls_that_a_request_makes_at_the_same_time_run_one_after_the_other() -> None:
    running: list[int] = []
    overlaps: list[int] = []

    def call(number: int) -> int:
        overlaps.extend(running)
        running.append(number)
        used = slow_thread_id()
        running.remove(number)
        return used

    async def test() -> None:
        request = RequestThread(RequestThreadPool())
        async with ThreadSensitiveContext(executor=request):
            used = await asyncio.gather(*(run_in_db_thread(call, number) for number in range(8)))
        request.close()
        assert len(set(used)) == 1

    asyncio.run(test())
    assert not overlaps


@pytest.mark.parametrize(
    ("path", "headers", "kind"),
    [
        ("/", {}, "text/html; charset=utf-8"),
        ("/c/", {"HX-Request": "true"}, "text/html; charset=utf-8"),
        ("/api/chat", {}, "application/problem+json"),
    ],
)
def test_a_request_without_a_thread_is_answered_in_the_format_of_its_client(
    settings: Any, path: str, headers: dict[str, str], kind: str
) -> None:
    settings.ROOT_URLCONF = "chatsite.urls"
    response = HttpResponse()
    try:
        raise DatabaseThreadTimeout
    except DatabaseThreadTimeout:
        response = server_error(RequestFactory().post(path, b"", content_type="application/json", headers=headers))
    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith(kind.split(";")[0])
    assert response.headers["Retry-After"] == "5"
    assert b"The site is busy. Try again in a moment." in response.content
