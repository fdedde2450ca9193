"""No form of this site takes files."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile


class RefuseFiles(FileUploadHandler):
    """Drops every file part; nothing reaches memory or disk. Notes on the request that one came."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        if self.request is not None:
            self.request.had_files = True  # type: ignore[attr-defined]
        raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None
