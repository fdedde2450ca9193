"""The pages people see."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import markdown, providers
from chat.accounts.http import AuthenticatedHttpRequest
from chat.events import Delta, is_last
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.limits import status
from chat.limits.status import LimitStatus
from chat.models import ChatModel, Conversation, ConversationQuerySet, ConversationReading, Message, MessagePage
from chat.streaming import presenter
from chat.streaming.reader import events_of
from chat.streaming.responses import streaming
from chat.web import forms
from chat.web.decorators import login_required, user_required

SIDEBAR_LENGTH = 60
LIVE_MARK = "\N{OBJECT REPLACEMENT CHARACTER}live\N{OBJECT REPLACEMENT CHARACTER}"


def _listed(mine: ConversationQuerySet) -> QuerySet[Conversation, tuple[Any, ...]]:
    """One more than is shown: there is more to come."""
    return mine.listed()[: SIDEBAR_LENGTH + 1].values_list(*presenter.Entry._fields)


_NEWEST = PreparedQuery(lambda: _listed(Conversation.objects.for_user(Parameter("user", models.IntegerField()))))


def sidebar_context(
    request: AuthenticatedHttpRequest, conversation: Conversation | None, place: presenter.Place | None = None
) -> dict[str, Any]:
    """The newest conversations, or those that come after a place in the list."""
    if place is None:
        rows = _NEWEST(user=request.user.pk)
    else:
        rows = list(_listed(Conversation.objects.for_user(request.user).after(place.updated_at, place.id)))
    shown = [presenter.Entry(*row) for row in rows[:SIDEBAR_LENGTH]]
    return {
        "conversation": conversation,
        "groups": presenter.grouped(shown, after=place),
        "last": shown[-1] if len(rows) > len(shown) else None,
    }


def models_for(request: AuthenticatedHttpRequest) -> list[ChatModel]:
    return ChatModel.objects.allowed_to(request.user)


def part_context(
    request: AuthenticatedHttpRequest, conversation: Conversation | None, part: MessagePage
) -> dict[str, Any]:
    models = models_for(request)
    labels = presenter.labels_of(models)
    return {
        "conversation": conversation,
        "articles": [presenter.article(message, labels) for message in part.messages],
        "has_older": part.has_older,
        "has_newer": part.has_newer,
        "models": models,
    }


def chat_context(
    request: AuthenticatedHttpRequest,
    conversation: Conversation | None,
    part: MessagePage,
    allowances: Sequence[LimitStatus] | None = None,
) -> dict[str, Any]:
    """Everything `chat/page.html` and its fragments show but the list of conversations; a constant number of queries.

    `allowances` are asked for where the caller does not know them.
    """
    user = request.user
    head = conversation.head if conversation else None
    shown = part_context(request, conversation, part)
    if allowances is None:
        allowances = status.limit_statuses(user)
    return {
        **shown,
        "running": head if head and _is_running(head, shown["articles"]) else None,
        "chosen_model": (conversation.model if conversation else "") or user.default_model or settings.CHAT_MODEL,
        "client_key": uuid.uuid4(),
        "prompt_limit": settings.CHAT_MAX_PROMPT_CHARS,
        "demo": providers.is_demo(),
        "allowances": allowances,
        "estimate": presenter.estimate(user, conversation, head, allowances),
        "starters": presenter.starters(demo=providers.is_demo()) if conversation is None else (),
    }


def _is_running(head: Message, articles: Iterable[presenter.Article]) -> bool:
    """As its article says where it is shown: `head` was read earlier, and nothing takes back
    the Stop button of an answer that has ended since."""
    shown = next((article for article in articles if article.id == str(head.pk)), None)
    return shown.running if shown else head.is_running


@require_GET
@login_required
def home(request: AuthenticatedHttpRequest) -> HttpResponse:
    return render(
        request, "chat/page.html", sidebar_context(request, None) | chat_context(request, None, MessagePage())
    )


@require_GET
@user_required
async def conversation(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    found = await run_in_db_thread(Conversation.objects.get_for_user, request.user, conversation_id)
    if found is None:
        raise Http404
    if "live" in request.GET:
        return await _live_page(request, found)
    return HttpResponse(await run_in_db_thread(_page, request, found))


def _page(request: AuthenticatedHttpRequest, found: Conversation, **extra: Any) -> str:
    """The newest messages, or those around (`?at=`), before or after another one."""
    if found.unread:
        Conversation.objects.mark_read(found.pk)
    context = sidebar_context(request, found) | chat_context(request, found, found.message_page(**_where(request)))
    context["readings"] = ConversationReading.objects.for_conversation(found.pk)
    return render_to_string("chat/page.html", {**context, **extra}, request)


def _where(request: AuthenticatedHttpRequest) -> dict[str, uuid.UUID | None]:
    names = {"around": "at", "before": "before", "after": "after"}
    return {name: forms.read_id(request.GET.get(word, "")) for name, word in names.items()}


async def _live_page(request: AuthenticatedHttpRequest, found: Conversation) -> HttpResponseBase:
    """The whole page as a plain document that grows with the answer, for browsers without our script."""
    page = await run_in_db_thread(_page, request, found, live_mark=LIVE_MARK)
    head, mark, rest = page.partition(LIVE_MARK)
    running = await run_in_db_thread(lambda: found.messages.running().filter(role=Message.Role.ASSISTANT).first())
    if not mark or running is None:
        return HttpResponse(await run_in_db_thread(_page, request, found))

    async def body() -> AsyncGenerator[bytes, None]:
        yield head.encode()
        live = markdown.LiveMarkdown()
        async with aclosing(events_of(running)) as source:
            async for events in source:
                text = "".join(event.text for event in events if isinstance(event, Delta))
                live.feed(text)
                yield "".join(live.take_finished()).encode()
                if events and is_last(events[-1]):
                    break
        yield "".join((*live.final_tail(), rest)).encode()

    return streaming(body(), "text/html; charset=utf-8")
