"""`/ws/`: changes for a user's open pages, as HTML fragments for htmx.

A notification carries ids; what a page gets is read from the database. A fragment for one conversation names its
target so that only a page that shows the conversation, does not have the message yet and is not sending one itself
takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import uuid
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.http import is_same_domain

from chat.accounts.http import current_user
from chat.accounts.session_watcher import SessionWatcher
from chat.infra import notifications
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.infra.process import process
from chat.infra.user_connections import UserConnections
from chat.limits.status import limit_statuses
from chat.models import ChatModel, Conversation, Message, User
from chat.streaming import presenter
from chat.web.sidebar import sidebar_context

logger = logging.getLogger(__name__)

# daphne sends no other code of the standard than 1000. The page reconnects after that one.
RECONNECT = 1000
UNEXPECTED_MESSAGE = 4400
LOGGED_OUT = 4401
TOO_MANY = 4429
COLLECT_SECONDS = 0.3
"""Changes within this time are sent together, after the page that made them has its own response."""
MAX_PAGES_PER_USER = 32

ListedRows = list[tuple[str, uuid.UUID, str, bool]]
"""What a page's list of conversations shows: span of days, conversation, title, whether it is unread."""


class OpenPages(UserConnections["PageConsumer"]):
    """The open WebSockets of this process."""

    def __init__(self) -> None:
        super().__init__(MAX_PAGES_PER_USER)


class PageConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """For logged-in users on this site's own pages. The page sends nothing."""

    user: User | None = None
    request: HttpRequest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._connection = contextlib.ExitStack()
        self._changes: set[uuid.UUID] = set()
        self._listed: ListedRows | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        try:
            await super().__call__(scope, receive, send)
        except Exception as error:  # the channel layer's backends raise their own clients' errors
            logger.warning("a page's WebSocket failed: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": RECONNECT})
        finally:
            self._connection.close()
            if self._sending:
                self._sending.cancel()

    async def connect(self) -> None:
        self.request = handshake_request(self.scope)
        if not is_same_site(self.request):
            await self.close()
            return
        await self.accept()
        try:
            self.user = await run_in_db_thread(current_user, self.request)
        except DatabaseError:
            await self.close(RECONNECT)
            return
        if self.user is None:
            await self.close(LOGGED_OUT)
            return
        self._connection.enter_context(process.loop_part(OpenPages).open(self.user.pk, self))
        log_out = partial(self.close_soon, LOGGED_OUT)
        sessions = process.loop_part(SessionWatcher)
        self._connection.enter_context(sessions.watch(self.request.session.session_key, log_out))
        await self.channel_layer.group_add(notifications.user_group(self.user.pk), self.channel_name)
        await self._send_state(self.user, None)

    async def disconnect(self, code: int) -> None:
        if self.user is not None:
            await self.channel_layer.group_discard(notifications.user_group(self.user.pk), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.close(UNEXPECTED_MESSAGE)

    async def changed(self, notification: dict[str, str]) -> None:
        """A notification of the type `CHANGED`: Channels calls the method of that name."""
        self._changes.add(uuid.UUID(notification["conversation_id"]))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send_changes())

    def close_soon(self, code: int) -> None:
        self._closing = asyncio.ensure_future(self.close(code))

    def close_excess(self) -> None:
        self.close_soon(TOO_MANY)

    async def _send_changes(self) -> None:
        while self._changes and self.user is not None:
            await asyncio.sleep(COLLECT_SECONDS)
            changes, self._changes = self._changes, set()
            for conversation_id in changes:
                await self._send_state(self.user, conversation_id)

    async def _send_state(self, user: User, conversation_id: uuid.UUID | None) -> None:
        try:
            html, self._listed = await run_in_db_thread(
                _render_state, self.request, user, conversation_id, self._listed
            )
        except DatabaseError:
            return
        await self.send(html)


def handshake_request(scope: Any) -> HttpRequest:
    """The WebSocket handshake as the HTTP request that it is."""
    scheme = {"ws": "http", "wss": "https"}[scope.get("scheme", "ws")]
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO())
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return request


def is_same_site(request: HttpRequest) -> bool:
    """Whether the page that opens this WebSocket is ours: scheme, host and port, as Django checks a form's origin."""
    try:
        own = f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return False
    origin = request.headers.get("Origin", "")
    return origin == own or any(_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _matches(origin: str, trusted: str) -> bool:
    if "*" not in trusted:
        return origin == trusted
    try:
        given, pattern = urlsplit(origin), urlsplit(trusted)
    except ValueError:
        return False
    return given.scheme == pattern.scheme and is_same_domain(given.netloc, pattern.netloc.lstrip("*"))


def _listed() -> QuerySet[Conversation]:
    own = Conversation.objects.for_user(Parameter("user", models.IntegerField()))
    return own.listed().select_related("head__parent")


_FIND_ONE = PreparedQuery(lambda: _listed().filter(pk=Parameter("pk", models.UUIDField())))
_FIND_ANSWERING = PreparedQuery(lambda: _listed().filter(messages__in=Message.objects.running()))


def _render_state(
    request: HttpRequest, user: User, conversation_id: uuid.UUID | None, listed: ListedRows | None
) -> tuple[str, ListedRows]:
    """The limits, the list where it differs from `listed`, and the newest answer of one conversation or of all that
    are answering; with what the list shows now."""
    request.user = user
    changed = _FIND_ONE(user=user.pk, pk=conversation_id) if conversation_id else _FIND_ANSWERING(user=user.pk)
    with translation.override(translation.get_language_from_request(request)):
        sidebar = sidebar_context(user, None)
        rows = [
            (group.label, entry.pk, entry.title, entry.unread)
            for group in sidebar["groups"]
            for entry in group.conversations
        ]
        context: dict[str, Any] = {
            **sidebar,
            "list_changed": rows != listed,
            "allowances": limit_statuses(user),
            "news": [_newest_messages(conversation) for conversation in changed],
        }
        return render_to_string("chat/_notice.html", context), rows


def _newest_messages(conversation: Conversation) -> dict[str, Any]:
    """The last question and its answer."""
    head, labels = conversation.head, presenter.model_labels(ChatModel.objects.all())
    newest = [message for message in (head and head.parent, head) if message]
    for message in newest:
        message.load_siblings()
    articles = [presenter.article(message, labels) for message in newest]
    return {
        "conversation": conversation,
        "articles": articles,
        "before": f"m-{newest[0].parent_id}" if newest and newest[0].parent_id else "",
        "running": next((item for item in articles if item.running), None),
    }
