"""The shipped nginx configuration in front of two web processes, PostgreSQL and Redis."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests import nginx
from tests.conftest import require_service
from tests.fakes import FakeProvider, Gate, gated, text, tokens
from tests.nginx import Nginx
from tests.services import RedisServer, postgres_database
from tests.site import Person, Site, ids_in
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    site: Site
    url: str
    provider: FakeProvider

    def alice(self) -> Person:
        return self.site.person("alice", self.url)


Deploy = Callable[[], Deployment]


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory, migrated_postgres: str) -> Iterator[Deploy]:
    """Makes deployments of their own database and Redis; ends them after the module."""
    if not nginx.is_installed():
        require_service("nginx is not installed")
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    with contextlib.ExitStack() as stack:

        def make() -> Deployment:
            folder = tmp_path_factory.mktemp("deployment")
            provider = stack.enter_context(FakeProvider())
            redis = RedisServer(folder)
            redis.start()
            stack.callback(redis.stop)
            site = Site(
                folder,
                DATABASE_URL=stack.enter_context(postgres_database(migrated_postgres)),
                REDIS_URL=redis.url,
                HTTPS_ONLY="1",
                TRUSTED_PROXIES="1",
                ALLOWED_HOSTS="127.0.0.1",
                OPENAI_BASE_URL=provider.url,
                OPENAI_API_KEY="sk-test",
            )
            stack.callback(site.stop)
            ports = []
            for _ in range(2):
                site.start("uvicorn")
                ports.append(site.port)
            proxy = Nginx(folder / "nginx", ports)
            stack.callback(proxy.stop)
            return Deployment(site=site, url=proxy.url, provider=provider)

        yield make


@pytest.fixture(scope="module")
def deployment(deploy: Deploy) -> Deployment:
    """For tests that leave nothing behind that others see."""
    return deploy()


def status_of(person: Person, chat: str) -> str:
    """Of the last answer."""
    page = person.http.get(f"/c/{chat}/").text
    statuses: list[str] = re.findall(r'data-role="assistant" data-status="(\w+)"', page)
    return statuses[-1]


def test_cookies_are_bound_to_the_host(deployment: Deployment) -> None:
    assert "__Host-sessionid" in deployment.alice().http.cookies


def test_tokens_arrive_one_by_one(deployment: Deployment) -> None:
    alice = deployment.alice()
    deployment.provider.enqueue(tokens(20, interval=0.1))
    answer = ids_in(alice.send("count"))[1]
    with alice.watch(answer) as response:
        arrivals = [time.monotonic() for _piece in response.iter_raw()]
    assert len(arrivals) >= 8
    assert arrivals[-1] - arrivals[0] > 1


def test_readers_on_either_process_see_the_same(deployment: Deployment) -> None:
    alice = deployment.alice()
    gate, all_read = Gate(), threading.Barrier(7)
    deployment.provider.enqueue(gated(gate, before=["one ", "two "], after=["three"]))
    answer = ids_in(alice.send("go"))[1]
    gate.wait_until_reached()

    def read(_number: int) -> str:
        with alice.watch(answer) as response:
            pieces = response.iter_text()
            first = next(pieces)
            all_read.wait(30)
            return first + "".join(pieces)

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, number) for number in range(6)]
        all_read.wait(30)
        gate.open()
        assert {reader.result() for reader in readers} == {"one two three"}


def test_stop_reaches_the_process_that_runs_the_answer(deployment: Deployment) -> None:
    alice = deployment.alice()
    for _ in range(2):  # nginx sends each request to the other process than the one before
        gate = Gate()
        deployment.provider.enqueue(gated(gate, before=["kept "]))
        chat, answer = ids_in(alice.send("go"))
        gate.wait_until_reached()
        assert alice.post(f"/m/{answer}/stop/").status_code == 204
        wait_until(lambda: status_of(alice, chat) == "stopped")  # noqa: B023
        assert deployment.provider.chats()[-1]["left"].wait(2)


def test_limits_are_one_for_all_processes(deploy: Deploy) -> None:
    deployment = deploy()
    deployment.site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=5)")
    bob = deployment.site.person("bob", deployment.url)
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _n: bob.send("hello").status_code, range(8)))
    assert codes.count(200) == 5
    assert codes.count(429) == 3


@dataclass(frozen=True, kw_only=True)
class Crash:
    """A deployment, one process of which was killed. Conversations and answers, by whether they ran in it."""

    deployment: Deployment
    alice: Person
    lost: list[tuple[str, str]]
    others: list[tuple[str, str]]


@pytest.fixture(scope="module")
def crash(deploy: Deploy) -> Crash:
    deployment = deploy()
    site, alice, gate = deployment.site, deployment.alice(), Gate()
    deployment.provider.enqueue(*[gated(gate, before=["before the crash "])] * 4)
    chats = [ids_in(alice.send("go")) for _ in range(4)]
    gate.wait_until_reached(4)
    answers = [answer for _chat, answer in chats]
    saved = f"from chat.models import Message as M\nfor pk in {answers!r}: print(repr(M.objects.get(pk=pk).content))"
    wait_until(lambda: site.shell(saved).split("\n") == ["'before the crash '"] * 4, 60)
    owners = dict(zip(chats, owner_pids(site, answers), strict=True))
    victim = next(process for process in site.processes if process.pid == owners[chats[0]])
    site.signal(signal.SIGKILL, victim)
    victim.wait()
    gate.open()
    return Crash(
        deployment=deployment,
        alice=alice,
        lost=[chat for chat in chats if owners[chat] == victim.pid],
        others=[chat for chat in chats if owners[chat] != victim.pid],
    )


def owner_pids(site: Site, answers: list[str]) -> list[int]:
    printed = site.shell(
        f"from chat.models import Message\nfor pk in {answers!r}: print(Message.objects.get(pk=pk).owner.pid)"
    )
    return [int(line) for line in printed.split()]


def test_answers_of_a_killed_process_can_be_continued(crash: Crash) -> None:
    for chat, answer in crash.lost:
        wait_until(lambda: status_of(crash.alice, chat) == "interrupted")  # noqa: B023
        crash.deployment.provider.enqueue(text("and after"))
        continued = crash.alice.post(f"/m/{answer}/continue/")
        assert continued.status_code == 200, continued.text
        assert crash.alice.answer(ids_in(continued)[1]) == "before the crash and after"


def test_answers_of_the_other_process_are_not_affected(crash: Crash) -> None:
    for chat, answer in crash.others:
        wait_until(lambda: status_of(crash.alice, chat) == "complete")  # noqa: B023
        assert crash.alice.answer(answer) == "before the crash last"


def test_every_answer_has_one_ledger_record_after_a_crash(crash: Crash) -> None:
    for chat, _answer in (*crash.lost, *crash.others):
        wait_until(lambda: status_of(crash.alice, chat) not in ("pending", "streaming"))  # noqa: B023
    counts = (
        "from chat.models import Message, UsageRecord\n"
        "print(UsageRecord.objects.count() - Message.objects.filter(role='assistant').count())"
    )
    wait_until(lambda: crash.deployment.site.shell(counts) == "0")
