"""How to call the API: a page with examples to copy, and its OpenAPI description."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from chat import markdown
from chat.api.openapi import description


def _base(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The examples carry the address that the reader came by."""
    text = render_to_string("api/examples.md", {"base": _base(request)})
    return render(request, "api/docs.html", {"examples": markdown.render(text)})


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(description(_base(request)))
