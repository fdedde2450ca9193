"""Multipart forms: incomplete ones are refused, and no form of this site takes files."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


class RefuseFileUploads(FileUploadHandler):
    """Upload handler that skips every file; nothing reaches memory or disk."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None


@sync_and_async_middleware
def complete_forms_only(get_response: Any) -> Any:
    """Answer 400 to a multipart form without its closing boundary; Django would accept the part that arrived."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            _check_closing_boundary(request)
            response: HttpResponseBase = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        _check_closing_boundary(request)
        response: HttpResponseBase = get_response(request)
        return response

    return synchronous


def _check_closing_boundary(request: HttpRequest) -> None:
    if request.content_type != "multipart/form-data":
        return
    boundary = (request.content_params or {}).get("boundary", "")
    if not boundary or not request.body.rstrip().endswith(f"--{boundary}--".encode("latin-1", "replace")):
        raise BadRequest("The form is incomplete.")
