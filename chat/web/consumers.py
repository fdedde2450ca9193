"""`/ws/`: what a person's open pages should know, as HTML fragments for htmx.

The layer brings ids; what a page gets is read from the database. A fragment for one
conversation names its target so that only a page which shows that conversation, has
not got the message yet and is not sending one itself takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import uuid
from collections import OrderedDict
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.http import is_same_domain

from chat.accounts.http import AuthenticatedHttpRequest
from chat.accounts.session_watcher import SessionWatcher
from chat.infra import notifications
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.infra.process import process
from chat.limits import status
from chat.models import ChatModel, Conversation, Message, User
from chat.streaming import presenter
from chat.web import pages

logger = logging.getLogger(__name__)

# daphne sends no other code of the standard's own than 1000: the page comes again after that one.
TRY_AGAIN = 1000
NOT_ASKED = 4400
LOGGED_OUT = 4401
TOO_MANY = 4429
GATHER = 0.3
MOST_PER_PERSON = 32

Listed = list[tuple[str, uuid.UUID, str, bool]]
"""What a page's list of conversations says: span of days, conversation, title, whether it is unread."""

_BY_PERSON: dict[int, OrderedDict[NoticesConsumer, None]] = {}


class NoticesConsumer(AsyncWebsocketConsumer):
    """Only for logged-in people from our own pages. The page sends nothing."""

    person: User | None = None
    request: AuthenticatedHttpRequest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Exception as error:  # the layer's backends raise their own clients' errors
            logger.warning("a page's notices broke off: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": TRY_AGAIN})
        finally:
            self._stop_watching()

    async def connect(self) -> None:
        self._changes: set[uuid.UUID] = set()
        self._listed: Listed | None = None
        self._sending: asyncio.Task[None] | None = None
        self._watch = contextlib.ExitStack()
        self.request = as_http(self.scope)
        if not is_from_here(self.request):
            await self.close()
            return
        await self.accept()
        try:
            self.person = await run_in_db_thread(_person, self.request)
        except DatabaseError:
            await self.close(TRY_AGAIN)
            return
        if self.person is None:
            await self.close(LOGGED_OUT)
            return
        self._start_watching(self.person)
        await self.channel_layer.group_add(notifications.person_group(self.person.pk), self.channel_name)
        await self._send_state(None)

    async def disconnect(self, code: int) -> None:
        if self.person is not None:
            await self.channel_layer.group_discard(notifications.person_group(self.person.pk), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.close(NOT_ASKED)

    async def changed(self, notice: dict[str, str]) -> None:
        """Several changes within a moment are sent as one, after the page that made them has its own answer."""
        self._changes.add(uuid.UUID(notice["conversation_id"]))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send_changes())

    def end(self, code: int) -> None:
        self._ending = asyncio.ensure_future(self.close(code))

    def _start_watching(self, person: User) -> None:
        mine = _BY_PERSON.setdefault(person.pk, OrderedDict())
        mine[self] = None
        self._watch.callback(_forget, person.pk, self)
        log_out = partial(self.end, LOGGED_OUT)
        self._watch.enter_context(process.loop_part(SessionWatcher).watch(self.request.session.session_key, log_out))
        while len(mine) > MOST_PER_PERSON:
            mine.popitem(last=False)[0].end(TOO_MANY)

    def _stop_watching(self) -> None:
        if hasattr(self, "_watch"):
            self._watch.close()
        if sending := getattr(self, "_sending", None):
            sending.cancel()

    async def _send_changes(self) -> None:
        while self._changes:
            await asyncio.sleep(GATHER)
            changes, self._changes = self._changes, set()
            for conversation_id in changes:
                await self._send_state(conversation_id)

    async def _send_state(self, conversation_id: uuid.UUID | None) -> None:
        if self.person is None:
            return
        try:
            html, self._listed = await run_in_db_thread(
                _state, self.request, self.person, conversation_id, self._listed
            )
        except DatabaseError:
            return
        await self.send(html)


def _forget(user_id: int, consumer: NoticesConsumer) -> None:
    mine = _BY_PERSON.get(user_id, OrderedDict())
    mine.pop(consumer, None)
    if not mine:
        _BY_PERSON.pop(user_id, None)


def as_http(scope: Any) -> Any:
    """The handshake as the HTTP request that it is."""
    scheme = {"ws": "http", "wss": "https"}[scope.get("scheme", "ws")]
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO())
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return request


def is_from_here(request: HttpRequest) -> bool:
    """Whether the page that opens this socket is ours: scheme, host and port, as for a form."""
    try:
        here = f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return False
    origin = request.headers.get("Origin", "")
    return origin == here or any(_is_covered(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _is_covered(origin: str, trusted: str) -> bool:
    if "*" not in trusted:
        return origin == trusted
    try:
        given, known = urlsplit(origin), urlsplit(trusted)
    except ValueError:
        return False
    return given.scheme == known.scheme and is_same_domain(given.netloc, known.netloc.lstrip("*"))


def _person(request: HttpRequest) -> User | None:
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def _shown() -> QuerySet[Conversation]:
    mine = Conversation.objects.for_user(Parameter("user", models.IntegerField()))
    return mine.listed().select_related("head__parent")


_ONE = PreparedQuery(lambda: _shown().filter(pk=Parameter("pk", models.UUIDField())))
_ANSWERING = PreparedQuery(lambda: _shown().filter(messages__in=Message.objects.running()))


def _state(
    request: AuthenticatedHttpRequest, person: User, conversation_id: uuid.UUID | None, listed: Listed | None
) -> tuple[str, Listed]:
    """The allowance, the list if it is not as `listed`, and the newest answer of one conversation, or of each
    that is answering; and what the list says now."""
    request.user = person
    shown = _ONE(user=person.pk, pk=conversation_id) if conversation_id else _ANSWERING(user=person.pk)
    with translation.override(translation.get_language_from_request(request)):
        sidebar = pages.sidebar_context(request, None)
        groups: list[presenter.Group] = sidebar["groups"]
        now_listed = [(group.label, row.pk, row.title, row.unread) for group in groups for row in group.conversations]
        context: dict[str, Any] = {
            **sidebar,
            "list_changed": now_listed != listed,
            "allowances": status.limit_statuses(person),
            "news": [_news(conversation) for conversation in shown],
        }
        return render_to_string("chat/_notice.html", context), now_listed


def _news(conversation: Conversation) -> dict[str, Any]:
    """Its last question and the answer to it."""
    head, labels = conversation.head, presenter.labels_of(ChatModel.objects.all())
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
