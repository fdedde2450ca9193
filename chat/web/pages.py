"""The chat page: a new chat, or a conversation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import providers
from chat.accounts.http import AuthenticatedHttpRequest
from chat.answers.disconnect import page_grace
from chat.infra.database_threads import run_in_db_thread
from chat.limits.status import LimitStatus, limit_statuses
from chat.models import ChatModel, Conversation, ConversationReading, Message, MessagePage, User
from chat.streaming import presenter
from chat.streaming.encoders.document import DocumentEncoder
from chat.streaming.reader import follow
from chat.streaming.responses import encoded_response
from chat.web import composer, forms
from chat.web.decorators import login_required, user_required
from chat.web.sidebar import sidebar_context

LIVE_MARK = "\N{OBJECT REPLACEMENT CHARACTER}live\N{OBJECT REPLACEMENT CHARACTER}"
"""Where the growing answer stands in a page that is sent as one growing document."""


def part_context(user: User, conversation: Conversation | None, part: MessagePage) -> dict[str, Any]:
    """Some messages of a conversation."""
    models = ChatModel.objects.allowed_to(user)
    labels = presenter.model_labels(models)
    return {
        "conversation": conversation,
        "articles": [presenter.article(message, labels) for message in part.messages],
        "has_older": part.has_older,
        "has_newer": part.has_newer,
        "models": models,
    }


def chat_context(
    user: User, conversation: Conversation | None, part: MessagePage, limits: Sequence[LimitStatus] | None = None
) -> dict[str, Any]:
    """Everything that `chat/page.html` shows but the list of conversations; a constant number of queries.

    `limits` are read where the caller does not know them.
    """
    head = conversation.head if conversation else None
    context = part_context(user, conversation, part)
    if limits is None:
        limits = limit_statuses(user)
    demo = providers.is_demo()
    return {
        **context,
        "running": head if head and _is_running(head, context["articles"]) else None,
        "chosen_model": (conversation.model if conversation else "") or user.default_model or settings.CHAT_MODEL,
        "client_key": uuid.uuid4(),
        "prompt_limit": settings.CHAT_MAX_PROMPT_CHARS,
        "demo": demo,
        "allowances": limits,
        "estimate": composer.estimate(user, conversation, head, limits),
        "starters": composer.starters(demo=demo) if conversation is None else (),
    }


def _is_running(head: Message, articles: Iterable[presenter.Article]) -> bool:
    """As its article says, where it is shown: `head` was read earlier, and nothing would remove the Stop button of an
    answer that has ended since."""
    shown = next((article for article in articles if article.id == str(head.pk)), None)
    return shown.running if shown else head.is_running


@require_GET
@login_required
def home(request: AuthenticatedHttpRequest) -> HttpResponse:
    context = sidebar_context(request.user, None) | chat_context(request.user, None, MessagePage())
    return render(request, "chat/page.html", context)


@require_GET
@user_required
async def conversation(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    found = await run_in_db_thread(Conversation.objects.get_for_user, request.user, conversation_id)
    if found is None:
        raise Http404
    if "live" in request.GET:
        return await _growing_page(request, found)
    return HttpResponse(await run_in_db_thread(_render_page, request, found))


def _render_page(request: AuthenticatedHttpRequest, found: Conversation, **extra: Any) -> str:
    """The newest messages, or those around (`?at=`), before or after another one."""
    if found.unread:
        Conversation.objects.mark_read(found.pk)
    context = sidebar_context(request.user, found) | chat_context(
        request.user, found, found.message_page(**_position(request))
    )
    context["readings"] = ConversationReading.objects.for_conversation(found.pk)
    return render_to_string("chat/page.html", {**context, **extra}, request)


def _position(request: AuthenticatedHttpRequest) -> dict[str, uuid.UUID | None]:
    """Invalid query parameters are ignored."""
    names = {"around": "at", "before": "before", "after": "after"}
    return {name: forms.read_id(request.GET.get(parameter, "")) for name, parameter in names.items()}


async def _growing_page(request: AuthenticatedHttpRequest, found: Conversation) -> HttpResponseBase:
    """The page as one document that grows with the answer, for browsers without our script."""
    page = await run_in_db_thread(_render_page, request, found, live_mark=LIVE_MARK)
    before, mark, after = page.partition(LIVE_MARK)
    running = await run_in_db_thread(_running_answer, found)
    if not mark or running is None:
        return HttpResponse(await run_in_db_thread(_render_page, request, found))
    events = follow(running, grace=page_grace(), session_key=request.session.session_key)
    return encoded_response(events, DocumentEncoder(before, after))


def _running_answer(conversation: Conversation) -> Message | None:
    return conversation.messages.running().select_related("conversation").filter(role=Message.Role.ASSISTANT).first()
