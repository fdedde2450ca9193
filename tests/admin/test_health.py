"""The health page: services, recent errors, and what an admin should change."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat import providers
from chat.admin.health import recent_errors
from chat.models import ChatModel, ModelPrice, Plan, ServerProcess
from tests.admin.rows import add_record

pytestmark = pytest.mark.django_db

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def _no_provider_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other tests in this process."""
    monkeypatch.setattr(providers, "recent_errors", list)


@pytest.fixture
def real_provider(settings: Any) -> None:
    settings.OPENAI_API_KEY = KEY
    assert not providers.is_demo()


def health_page(client: Client) -> Any:
    return client.get(reverse("admin:chat_health"))


def problems(client: Client) -> str:
    return " ".join(str(problem.text) for problem in health_page(client).context["problems"])


def test_the_demo_model_is_a_problem(boss: Client, settings: Any) -> None:
    settings.OPENAI_API_KEY = settings.OPENAI_BASE_URL = ""
    assert "demo model" in problems(boss)


def test_a_model_without_a_price_is_a_problem(boss: Client, settings: Any, real_provider: None) -> None:
    settings.CHAT_MODEL = "house-model"
    ChatModel.objects.create(name="house-model")
    assert "No price is known for house-model" in problems(boss)


def test_no_price_at_all_is_a_problem(boss: Client, real_provider: None) -> None:
    ModelPrice.objects.all().delete()
    assert "cost limits do not apply" in problems(boss)


def test_no_default_plan_is_a_problem(boss: Client) -> None:
    assert "No plan is the default" not in problems(boss)
    Plan.objects.update(is_default=False)
    assert "No plan is the default" in problems(boss)


def test_a_process_without_heartbeats_is_a_problem(boss: Client) -> None:
    old = timezone.now() - 2 * ServerProcess.STALE_AFTER
    ServerProcess.objects.create(host="web-1", pid=1, heartbeat_at=old)
    assert "1 server process sends no heartbeats" in problems(boss)


def test_two_processes_without_redis_are_a_problem(boss: Client) -> None:
    ServerProcess.objects.create(host="web-2", pid=1)
    assert "without Redis" not in problems(boss)
    ServerProcess.objects.create(host="web-2", pid=2)
    assert "without Redis" in problems(boss)


def test_a_rejected_key_is_a_problem(boss: Client) -> None:
    add_record(None, status="failed", reason="upstream-misconfigured", cost=0)
    assert "rejected the key" in problems(boss)


def test_the_key_is_not_shown(boss: Client, real_provider: None) -> None:
    assert KEY not in health_page(boss).content.decode()


def test_the_errors_of_the_last_hour_are_counted(boss: Client) -> None:
    for reason, times in (("upstream-busy", 3), ("restarted", 1)):
        for _ in range(times):
            add_record(None, status="failed", reason=reason)
    older = timezone.now() - 2 * recent_errors.PERIOD
    add_record(None, status="failed", reason="upstream-timeout", created_at=older)
    lines = health_page(boss).context["recent_errors"]
    assert {line.code: line.answers for line in lines} == {"upstream-busy": 3, "restarted": 1}


def test_an_error_is_shown_with_its_sentence(boss: Client) -> None:
    add_record(None, status="failed", reason="upstream-busy")
    (line,) = health_page(boss).context["recent_errors"]
    assert "busy" in line.sentence


@pytest.fixture
def _failing_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str) -> None:
        raise ConnectionError("redis://:password@host")

    monkeypatch.setattr(caches["default"], "get", fail)


@pytest.mark.usefixtures("_failing_cache")
def test_a_failing_cache_is_shown_without_its_address(boss: Client) -> None:
    response = health_page(boss)
    database, cache, *_others = response.context["services"]
    assert (database.answers, cache.answers) == (True, False)
    assert "password" not in response.content.decode()


@pytest.mark.usefixtures("_failing_cache")
def test_a_failing_service_is_on_the_front_page(boss: Client) -> None:
    response = boss.get(reverse("admin:index"))
    assert response.context["level"] == "bad"
