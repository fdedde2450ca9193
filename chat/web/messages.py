"""Actions on messages in the browser. Each view: the form, one function of `chat.answers`, one response."""

from __future__ import annotations

import json
import uuid

from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from chat import answers, errors
from chat.accounts.http import AuthenticatedHttpRequest
from chat.answers import AnswerRequest
from chat.answers.disconnect import page_grace
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter
from chat.limits.status import present
from chat.models import Conversation, Message, MessagePage, User
from chat.web.decorators import is_htmx, show_errors, user_required
from chat.web.forms import read_key, read_prompt
from chat.web.pages import chat_context
from chat.web.sidebar import sidebar_context


@require_POST
@show_errors
@user_required
async def send(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID | None = None) -> HttpResponseBase:
    form = read_prompt(request)
    sent = await answers.send(
        request.user,
        form.prompt,
        client_key=form.client_key,
        conversation_id=conversation_id,
        model=form.model,
        grace=page_grace(),
    )
    return await _sent_response(request, sent)


@require_POST
@show_errors
@user_required
async def regenerate(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    key, model = read_key(request), request.POST.get("model", "")
    sent = await answers.regenerate(request.user, message_id, client_key=key, model=model, grace=page_grace())
    return await _sent_response(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def edit(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    form = read_prompt(request)
    sent = await answers.edit(
        request.user, message_id, form.prompt, client_key=form.client_key, model=form.model, grace=page_grace()
    )
    return await _sent_response(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def continue_answer(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    sent = await answers.continue_answer(request.user, message_id, client_key=read_key(request), grace=page_grace())
    return await _sent_response(request, sent, replaced=message_id)


@require_POST
@show_errors
@user_required
async def stop(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    message = await answers.stop(request.user, message_id)
    if is_htmx(request):
        return HttpResponse(status=204)
    return HttpResponseRedirect(f"{message.conversation.get_absolute_url()}#m-{message.pk}")


@require_POST
@show_errors
@user_required
async def show(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    """Show another version of a message, and what follows it."""
    conversation, replaced = await run_in_db_thread(_show, request.user, message_id)
    if not is_htmx(request):
        return HttpResponseRedirect(f"{conversation.get_absolute_url()}?at={message_id}#m-{message_id}")
    html = await run_in_db_thread(_render_version, request, conversation, message_id, replaced)
    return HttpResponse(html, headers={"HX-Trigger": json.dumps({"version-shown": {"id": f"m-{message_id}"}})})


def _show(user: User, message_id: uuid.UUID) -> tuple[Conversation, uuid.UUID | None]:
    message = Message.objects.for_user(user).get_or_none(pk=message_id)
    if message is None:
        raise errors.NotFound
    return message.conversation, message.conversation.activate_branch(message_id)


def _render_version(
    request: AuthenticatedHttpRequest, conversation: Conversation, message_id: uuid.UUID, replaced: uuid.UUID | None
) -> str:
    conversation.refresh_from_db(fields=("head",))
    context = chat_context(request.user, conversation, part=conversation.message_page(since=message_id))
    return render_to_string("chat/_version.html", {**context, "replaced": replaced}, request)


async def _sent_response(
    request: AuthenticatedHttpRequest, sent: AnswerRequest, replaced: uuid.UUID | None = None
) -> HttpResponseBase:
    """Fragments for htmx. A plain form is redirected to a page that streams, so that a reload sends nothing."""
    address = sent.answer.conversation.get_absolute_url()
    if not is_htmx(request):
        return HttpResponseRedirect(f"{address}?live=1#m-{sent.answer.pk}", status=303)
    response = HttpResponse(await run_in_db_thread(_render_sent, request, sent, replaced))
    if not request.headers.get("HX-Current-URL", "").endswith(address):
        response.headers["HX-Push-Url"] = address
    response.headers["HX-Trigger"] = "message-sent"
    if sent.grant:
        for name, value in limiter.headers(sent.grant.states).items():
            response.headers[name] = value
    return response


def _render_sent(request: AuthenticatedHttpRequest, sent: AnswerRequest, replaced: uuid.UUID | None) -> str:
    """The new articles: a send appends them, any other action puts them in place of a message and all after it.

    The list, the top of the page and the form's address change with the first message of a conversation, and with one
    that was sent before, since its page may not know the conversation. Later changes of the list reach the page as
    notifications.
    """
    conversation = sent.answer.conversation
    newest = [message for message in (sent.question_message, sent.answer) if message]
    for message in newest[:1] if sent.is_new else newest:  # below a new question there is one answer
        message.load_siblings()
    limits = present(sent.grant.states) if sent.grant else None
    context = chat_context(request.user, conversation, part=MessagePage(messages=newest), limits=limits)
    is_unknown = sent.is_new_conversation or not sent.is_new
    context |= {"replaced": replaced, "is_unknown": is_unknown}
    if is_unknown:
        context |= sidebar_context(request.user, conversation)
    return render_to_string("chat/_answered.html", context, request)
