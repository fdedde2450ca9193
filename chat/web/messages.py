"""What people do in the browser to messages. Every view: one verb of `exchange`, one response."""

from __future__ import annotations

import json
import uuid

from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest
from chat.answers import readers, start
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter, status
from chat.models import Conversation, Message, MessagePage, User
from chat.web import pages
from chat.web.decorators import show_errors, user_required
from chat.web.forms import read_key, read_prompt
from chat.web.http import is_htmx


@require_POST
@show_errors
@user_required
async def send(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID | None = None) -> HttpResponseBase:
    given = read_prompt(request)
    sent = await start.send(
        request.user,
        given.prompt,
        client_key=given.client_key,
        conversation_id=conversation_id,
        model=given.model,
    )
    return await _answered(request, sent)


@require_POST
@show_errors
@user_required
async def regenerate(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    sent = await start.regenerate(
        request.user, message_id, client_key=read_key(request), model=request.POST.get("model", "")
    )
    return await _answered(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def edit(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    given = read_prompt(request)
    sent = await start.edit(request.user, message_id, given.prompt, client_key=given.client_key, model=given.model)
    return await _answered(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def resume(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    sent = await start.resume(request.user, message_id, client_key=read_key(request))
    return await _answered(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def stop(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    message = await start.stop(request.user, message_id)
    if is_htmx(request):
        return HttpResponse(status=204)
    return HttpResponseRedirect(f"/c/{message.conversation_id}/#m-{message.pk}")


@require_POST
@show_errors
@user_required
async def show(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    """Goes to another version of a message, and to what was said after it."""
    conversation, replaced = await run_in_db_thread(_show, request.user, message_id)
    if not is_htmx(request):
        return HttpResponseRedirect(f"{conversation.get_absolute_url()}?at={message_id}#m-{message_id}")
    html = await run_in_db_thread(_version, request, conversation, message_id, replaced)
    return HttpResponse(html, headers={"HX-Trigger": json.dumps({"version-shown": {"id": f"m-{message_id}"}})})


def _show(person: User, message_id: uuid.UUID) -> tuple[Conversation, uuid.UUID | None]:
    message = Message.objects.for_user(person).get_or_none(pk=message_id)
    if message is None:
        raise errors.NotFound
    return message.conversation, message.conversation.activate_branch(message_id)


def _version(
    request: AuthenticatedHttpRequest, conversation: Conversation, message_id: uuid.UUID, replaced: uuid.UUID | None
) -> str:
    conversation.refresh_from_db(fields=("head",))
    context = pages.chat_context(request, conversation, part=conversation.message_page(since=message_id))
    return render_to_string("chat/_version.html", {**context, "replaced": replaced}, request)


async def _answered(
    request: AuthenticatedHttpRequest, sent: start.Sent, replaced: uuid.UUID | None = None
) -> HttpResponseBase:
    """Fragments for htmx; a plain form is sent on to a page that streams, so that a reload asks nothing."""
    if sent.is_new:
        readers.started(sent.answer.pk)
    address = sent.conversation.get_absolute_url()
    if not is_htmx(request):
        return HttpResponseRedirect(f"{address}?live=1#m-{sent.answer.pk}", status=303)
    html = await run_in_db_thread(_fragments, request, sent, replaced)
    response = HttpResponse(html)
    if not request.headers.get("HX-Current-URL", "").endswith(address):
        response.headers["HX-Push-Url"] = address
    response.headers["HX-Trigger"] = "message-sent"
    if sent.grant:
        for name, value in limiter.headers(sent.grant.remaining).items():
            response.headers[name] = value
    return response


def _fragments(request: AuthenticatedHttpRequest, sent: start.Sent, replaced: uuid.UUID | None) -> str:
    """The new articles. A send appends them; any other verb puts them in place of a message and all after it.

    The list, the top of the page and where its form sends change with the first one, and with one that was
    asked for before: its page may know nothing of it yet. If the list changes later, its notices say it.
    """
    newest = [message for message in (sent.question, sent.answer) if message]
    for message in newest[:1] if sent.is_new else newest:  # below a new question there is one answer
        message.load_siblings()
    allowances = status.present(sent.grant.remaining) if sent.grant else None
    context = pages.chat_context(request, sent.conversation, part=MessagePage(messages=newest), allowances=allowances)
    is_unknown = sent.begins or not sent.is_new
    context |= {"replaced": replaced, "is_unknown": is_unknown}
    if is_unknown:
        context |= pages.sidebar_context(request, sent.conversation)
    return render_to_string("chat/_answered.html", context, request)
