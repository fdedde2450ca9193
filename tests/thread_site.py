"""Views and middleware for tests of request threads: what a third party might install beside the site."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from chat.infra.database_threads import run_in_db_thread
from chat.models import Conversation, User


def _own_thread() -> int:
    return threading.get_ident()


async def six_calls(request: HttpRequest) -> HttpResponse:
    """The threads of six calls, with other requests in between."""
    threads = []
    for _ in range(6):
        threads.append(await run_in_db_thread(_own_thread))
        await asyncio.sleep(0.001)
    return JsonResponse({"threads": threads})


async def one_call(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"threads": [await run_in_db_thread(_own_thread)]})


async def wait_between_calls(request: HttpRequest) -> HttpResponse:
    """A call, a long wait without a thread, a call."""
    gate: asyncio.Event = request.scope["state"]["gate"]  # type: ignore[attr-defined]
    threads = [await run_in_db_thread(_own_thread)]
    request.scope["state"]["waiting"] += 1  # type: ignore[attr-defined]
    await gate.wait()
    threads.append(await run_in_db_thread(_own_thread))
    return JsonResponse({"threads": threads})


async def transaction_across_calls(request: HttpRequest) -> HttpResponse:
    """Opens a transaction in one call, writes in another, waits, reads what it wrote, rolls back."""
    gate: asyncio.Event = request.scope["state"]["gate"]  # type: ignore[attr-defined]
    block = transaction.atomic()
    await sync_to_async(block.__enter__)()
    threads = [await run_in_db_thread(_own_thread)]
    await Conversation.objects.acreate(user=await User.objects.aget(), title="not committed")
    request.scope["state"]["waiting"] += 1  # type: ignore[attr-defined]
    await gate.wait()
    seen = await Conversation.objects.filter(title="not committed").acount()
    await sync_to_async(transaction.set_rollback)(True)
    await sync_to_async(block.__exit__)(None, None, None)
    threads.append(await run_in_db_thread(_own_thread))
    return JsonResponse({"threads": threads, "seen": seen})


async def autocommit_off_across_calls(request: HttpRequest) -> HttpResponse:
    """As `transaction_across_calls`, without `atomic`."""
    await sync_to_async(transaction.set_autocommit)(False)
    await Conversation.objects.acreate(user=await User.objects.aget(), title="not committed")
    seen = await Conversation.objects.filter(title="not committed").acount()
    await sync_to_async(transaction.rollback)()
    await sync_to_async(transaction.set_autocommit)(True)
    return JsonResponse({"seen": seen})


async def transaction_left_open(request: HttpRequest) -> HttpResponse:
    """A fault of a view: it never ends its transaction."""
    await sync_to_async(transaction.atomic().__enter__)()
    await Conversation.objects.acreate(user=await User.objects.aget(), title="left open")
    return JsonResponse({"threads": [await run_in_db_thread(_own_thread)]})


async def who(request: HttpRequest) -> HttpResponse:
    """The name that `RememberName` keeps in its thread."""
    names = []
    for _ in range(3):
        names.append(await run_in_db_thread(lambda: getattr(remembered, "name", None)))
        await asyncio.sleep(0.001)
    return JsonResponse({"names": names})


async def write_and_fail(request: HttpRequest) -> HttpResponse:
    await Conversation.objects.acreate(user=await User.objects.aget(), title="rolled back")
    return HttpResponse(status=409)


remembered = threading.local()


class RememberName(MiddlewareMixin):
    """A third-party middleware that keeps a value in a thread-local from one hook to the next."""

    def process_request(self, request: HttpRequest) -> None:
        assert not hasattr(remembered, "name"), "another request left its name here"
        remembered.name = request.headers["X-Name"]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers["X-Name"] = remembered.name
        del remembered.name
        return response


class HooksInTransaction(MiddlewareMixin):
    """A third-party middleware whose hooks open a transaction and end it."""

    def process_request(self, request: HttpRequest) -> None:
        request.block = transaction.atomic()  # type: ignore[attr-defined]
        request.block.__enter__()  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response.status_code >= 400:
            transaction.set_rollback(True)
        request.block.__exit__(None, None, None)  # type: ignore[attr-defined]
        return response


def call_in_transaction(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A third-party middleware that knows no `async`: the whole response in one transaction."""

    def middleware(request: HttpRequest) -> Any:
        with transaction.atomic():
            response = get_response(request)
            if response.status_code >= 400:
                transaction.set_rollback(True)
        response.headers["X-Thread"] = str(threading.get_ident())
        return response

    return middleware


urlpatterns = [
    path("six-calls", six_calls),
    path("one-call", one_call),
    path("wait-between-calls", wait_between_calls),
    path("transaction-across-calls", transaction_across_calls),
    path("autocommit-off-across-calls", autocommit_off_across_calls),
    path("transaction-left-open", transaction_left_open),
    path("who", who),
    path("write-and-fail", write_and_fail),
]
