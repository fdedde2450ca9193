"""The private API that chatsite/server uses is as it was read; where this fails, read that code again."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from daphne import http_protocol
from django.contrib.messages import add_message
from django.contrib.messages.middleware import MessageMiddleware
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import RequestFactory
from django.urls import resolve
from django.utils import autoreload
from django.utils.deprecation import MiddlewareMixin
from django.utils.log import log_response
from twisted.web.http import Request

from chatsite.server.async_middleware import ASYNC_MIDDLEWARE
from chatsite.server.csrf import skip_csrf_check
from chatsite.server.error_logging import mark_as_logged

ROOT = Path(__file__).resolve().parent.parent
REQUEST = "django.core.handlers.asgi.ASGIRequest"
"""The class of every request under ASGI: used outside of chatsite/server as a type, and for WebSocket handshakes."""
PRIVATE_MODULES = ("daphne", "uvicorn", "twisted", "django.core.handlers", "django.utils.deprecation")


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def respond(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("load_middleware", ["self", "is_async"]),
        ("handle", ["self", "scope", "receive", "send"]),
        ("listen_for_disconnect", ["self", "receive"]),
        ("run_get_response", ["self", "request"]),
        ("send_response", ["self", "response", "send"]),
    ],
)
def test_the_handler_has_the_methods_that_are_overridden(method: str, expected: list[str]) -> None:
    assert parameters(getattr(ASGIHandler, method)) == expected


@pytest.mark.parametrize(
    "call",
    ["self.listen_for_disconnect(receive)", "self.run_get_response(request)", "self.send_response(response, send)"],
)
def test_the_handler_calls_the_methods_that_are_overridden(call: str) -> None:
    assert call in inspect.getsource(ASGIHandler.handle)


def test_the_handler_loads_the_middleware_that_the_settings_name(settings: Any) -> None:
    assert "settings.MIDDLEWARE" in inspect.getsource(ASGIHandler.load_middleware)


def test_synchronous_hooks_are_run_in_threads(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.contrib.auth.middleware.LoginRequiredMiddleware"]
    handler: Any = ASGIHandler()
    assert [type(hook) for hook in handler._view_middleware] == [SyncToAsync]
    assert handler._template_response_middleware == handler._exception_middleware == []


@pytest.mark.parametrize("hook", ["process_request", "process_response"])
def test_the_mixin_runs_each_hook_in_a_thread(hook: str) -> None:
    source = "".join(inspect.getsource(MiddlewareMixin.__acall__).split())
    assert f"awaitsync_to_async(self.{hook},thread_sensitive=True,)(" in source


@pytest.mark.parametrize("name", ASYNC_MIDDLEWARE)
def test_middleware_on_the_event_loop_takes_the_place_of_middleware_of_the_mixin(name: str) -> None:
    module, _, middleware = name.rpartition(".")
    original = getattr(__import__(module, fromlist=[middleware]), middleware)
    assert issubclass(original, MiddlewareMixin)
    assert original.__acall__ is MiddlewareMixin.__acall__


def test_the_csrf_check_can_be_skipped() -> None:
    request = RequestFactory(enforce_csrf_checks=True).post("/api/chat")
    request._dont_enforce_csrf_checks = False  # type: ignore[attr-defined]
    middleware = CsrfViewMiddleware(respond)
    refused = middleware.process_view(request, respond, (), {})
    assert refused is not None
    assert refused.status_code == 403
    skip_csrf_check(request)
    assert middleware.process_view(request, respond, (), {}) is None


def test_a_request_tells_whether_it_has_messages_to_store(settings: Any) -> None:
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
    request: Any = RequestFactory().get("/")
    MessageMiddleware(respond).process_request(request)
    assert (request._messages.used, request._messages.added_new) == (False, False)
    add_message(request, 20, "saved")
    assert request._messages.added_new is True


def test_a_match_holds_the_routes_that_were_tried() -> None:
    assert isinstance(resolve("/settings/").tried, list)


def test_a_response_can_be_marked_as_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "django.request"):
        log_response("once", response=mark_as_logged(HttpResponse(status=503)), request=RequestFactory().get("/"))
    assert not caplog.records


def test_the_reloader_has_a_signal_for_changed_files() -> None:
    assert isinstance(autoreload.file_changed, Signal)
    assert "file_changed.send" in inspect.getsource(autoreload.BaseReloader.notify_file_changed)


def test_daphne_creates_requests_by_the_name_that_is_replaced() -> None:
    assert "requestFactory = WebRequest" in inspect.getsource(http_protocol.HTTPFactory.buildProtocol)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("gotLength", ["self", "length"]),
        ("handleContentChunk", ["self", "data"]),
        ("requestReceived", ["self", "command", "path", "version"]),
    ],
)
def test_twisted_calls_the_methods_that_are_overridden(method: str, expected: list[str]) -> None:
    assert parameters(getattr(Request, method)) == expected


def python_files() -> list[Path]:
    files = [*(ROOT / "chat").rglob("*.py"), *(ROOT / "chatsite").rglob("*.py")]
    return [path for path in files if "server" not in path.parts and "migrations" not in path.parts]


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_other_package_imports_private_modules() -> None:
    for path in python_files():
        for name in imported_names(path):
            allowed = not name.startswith(PRIVATE_MODULES) or name == REQUEST
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_a_request_is_made_of_a_scope_and_a_body() -> None:
    assert parameters(ASGIRequest) == ["scope", "body_file"]


def test_the_rest_of_chatsite_uses_no_private_attribute() -> None:
    for path in python_files():
        if "chatsite" not in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                assert isinstance(node.value, ast.Name), f"{path.relative_to(ROOT)}:{node.lineno}"
                assert node.value.id in ("self", "cls"), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_each_use_names_the_version_it_was_read_in() -> None:
    for path in (ROOT / "chatsite" / "server").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.strip().startswith(("Private", "# Private")):
                assert "read in" in line, f"{path.name}: {line.strip()}"
