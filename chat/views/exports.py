"""Taking conversations along, as Markdown or JSON."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import AsyncGenerator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from chat import personal
from chat.http import PersonRequest
from chat.models import Conversation, User
from chat.threads import in_database
from chat.views.guard import logged_in_only, own_conversation, person_only, refuse_person, refusing_with

TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}


def _format(request: HttpRequest) -> str:
    given = request.GET.get("format", "md")
    return given if given in TYPES else "md"


def _json(conversation: Conversation) -> str:
    return json.dumps(personal.conversation_data(conversation), ensure_ascii=False, default=str, indent=1)


def _name(conversation: Conversation) -> str:
    return f"{timezone.localdate(conversation.created_at)}-{slugify(conversation.title)[:60] or 'conversation'}"


def _download(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_safe
@logged_in_only
def export_one(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    conversation = own_conversation(request, conversation_id)
    kind = _format(request)
    text = _json(conversation) if kind == "json" else personal.conversation_markdown(conversation)
    return _download(HttpResponse(text, content_type=TYPES[kind]), f"{_name(conversation)}.{kind}")


@require_safe
@refusing_with(refuse_person)
@person_only
async def export_all(request: PersonRequest) -> HttpResponseBase:
    """Every listed conversation: one JSON document, or a zip of Markdown files. One at a time is in memory."""
    day = timezone.localdate()
    if _format(request) == "json":
        response = StreamingHttpResponse(_all_json(request.person), content_type=TYPES["json"])
        return _download(response, f"conversations-{day}.json")
    response = StreamingHttpResponse(_all_markdown(request.person), content_type="application/zip")
    return _download(response, f"conversations-{day}.zip")


def _next(user: User, after: Conversation | None) -> Conversation | None:
    mine = Conversation.objects.for_user(user).listed()
    return (mine.after(after.updated_at, after.pk) if after else mine).first()


async def _all_json(user: User) -> AsyncGenerator[str, None]:
    yield '{"conversations": ['
    found, between = await in_database(_next, user, None), "\n"
    while found is not None:
        yield between + await in_database(_json, found)
        found, between = await in_database(_next, user, found), ",\n"
    yield "\n]}\n"


class _Tap(io.RawIOBase):
    """Takes what a zip file writes until somebody pours it out."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def pour(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


async def _all_markdown(user: User) -> AsyncGenerator[bytes, None]:
    tap = _Tap()
    with zipfile.ZipFile(tap, "w", zipfile.ZIP_DEFLATED) as archive:
        found = await in_database(_next, user, None)
        while found is not None:
            text = await in_database(personal.conversation_markdown, found)
            archive.writestr(f"{_name(found)}-{str(found.pk)[:8]}.md", text)
            yield tap.pour()
            found = await in_database(_next, user, found)
    yield tap.pour()
