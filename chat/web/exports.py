"""Download conversations as Markdown or JSON."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import AsyncGenerator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from chat.accounts import data_export
from chat.accounts.http import AuthenticatedHttpRequest
from chat.infra.database_threads import run_in_db_thread
from chat.models import Conversation, User
from chat.web.decorators import get_conversation_or_404, login_required, show_errors, user_required

TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}


def _format(request: AuthenticatedHttpRequest) -> str:
    given = request.GET.get("format", "md")
    return given if given in TYPES else "md"


def _json(conversation: Conversation) -> str:
    return json.dumps(data_export.conversation_data(conversation), ensure_ascii=False, default=str, indent=1)


def _name(conversation: Conversation) -> str:
    return f"{timezone.localdate(conversation.created_at)}-{slugify(conversation.title)[:60] or 'conversation'}"


def _download(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_safe
@login_required
def export_one(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    conversation = get_conversation_or_404(request, conversation_id)
    kind = _format(request)
    text = _json(conversation) if kind == "json" else data_export.conversation_markdown(conversation)
    return _download(HttpResponse(text, content_type=TYPES[kind]), f"{_name(conversation)}.{kind}")


@require_safe
@show_errors
@user_required
async def export_all(request: AuthenticatedHttpRequest) -> HttpResponseBase:
    """Every listed conversation: one JSON document, or a zip of Markdown files. One at a time is in memory."""
    day = timezone.localdate()
    if _format(request) == "json":
        response = StreamingHttpResponse(_all_json(request.user), content_type=TYPES["json"])
        return _download(response, f"conversations-{day}.json")
    response = StreamingHttpResponse(_all_markdown(request.user), content_type="application/zip")
    return _download(response, f"conversations-{day}.zip")


def _next(user: User, after: Conversation | None) -> Conversation | None:
    mine = Conversation.objects.for_user(user).listed()
    return (mine.after(after.updated_at, after.pk) if after else mine).first()


async def _all_json(user: User) -> AsyncGenerator[str, None]:
    yield '{"conversations": ['
    found, between = await run_in_db_thread(_next, user, None), "\n"
    while found is not None:
        yield between + await run_in_db_thread(_json, found)
        found, between = await run_in_db_thread(_next, user, found), ",\n"
    yield "\n]}\n"


class _Buffer(io.RawIOBase):
    """What a zip file has written since it was last taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


async def _all_markdown(user: User) -> AsyncGenerator[bytes, None]:
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        found = await run_in_db_thread(_next, user, None)
        while found is not None:
            text = await run_in_db_thread(data_export.conversation_markdown, found)
            archive.writestr(f"{_name(found)}-{str(found.pk)[:8]}.md", text)
            yield buffer.take()
            found = await run_in_db_thread(_next, user, found)
    yield buffer.take()
