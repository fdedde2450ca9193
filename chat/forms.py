"""Browser input, validated into values."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat import errors
from chat.models import User


@dataclass(frozen=True, kw_only=True)
class PromptInput:
    prompt: str
    client_key: str
    model: str


def read_key(request: HttpRequest) -> str:
    """The client key of a send; a caller that brings none gets a fresh one. Raises `BadRequest`."""
    given = request.POST.get("client_key", "").strip()
    if not given:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise errors.BadRequest from None


def read_prompt(request: HttpRequest) -> PromptInput:
    return PromptInput(
        prompt=request.POST.get("prompt", ""),
        client_key=read_key(request),
        model=request.POST.get("model", ""),
    )


class SignupForm(BaseUserCreationForm):
    class Meta:
        model = User
        fields = ("username",)


class TitleForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=10_000, strip=True)

    def clean_title(self) -> str:
        return self.cleaned_data["title"][:200]
