"""Forms and form fields, validated into values."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat import errors
from chat.models import ChatModel, Conversation, User
from chat.text import clean_text

MAX_SYSTEM_PROMPT = 8000

if TYPE_CHECKING:  # Django's forms are generic for the type checker only
    _UserCreationForm = BaseUserCreationForm[User]
    _ModelForm = forms.ModelForm[Any]
else:
    _UserCreationForm, _ModelForm = BaseUserCreationForm, forms.ModelForm


@dataclass(frozen=True, kw_only=True)
class PromptForm:
    """The fields of a message."""

    prompt: str
    client_key: str
    model: str


def read_key(request: HttpRequest) -> str:
    """The client key of a send, or a new one where none is given. Raises `BadRequest`."""
    given = request.POST.get("client_key", "").strip()
    if not given:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise errors.BadRequest from None


def read_id(given: str) -> uuid.UUID | None:
    """None where it is no UUID."""
    try:
        return uuid.UUID(given)
    except ValueError:
        return None


def read_prompt(request: HttpRequest) -> PromptForm:
    return PromptForm(
        prompt=request.POST.get("prompt", ""),
        client_key=read_key(request),
        model=request.POST.get("model", ""),
    )


class SignupForm(_UserCreationForm):
    class Meta:
        model = User
        fields = ("username",)


class TitleForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=10_000, strip=True)

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        return title[:200]


class ModelChoiceForm(_ModelForm):
    """A form with a field for one of the models that its user may use, and one for instructions."""

    model_field = ""
    empty_label: Any = ""

    def __init__(self, *args: Any, models: Iterable[ChatModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", self.empty_label), *((model.name, str(model)) for model in models)]
        label = self.fields[self.model_field].label
        self.fields[self.model_field] = forms.ChoiceField(label=label, choices=choices, required=False)
        prompt = self.fields["system_prompt"]
        prompt.widget.attrs.update(rows=4, maxlength=MAX_SYSTEM_PROMPT, dir="auto")
        prompt.validators = [MaxLengthValidator(MAX_SYSTEM_PROMPT)]

    def clean_system_prompt(self) -> str:
        return clean_text(self.cleaned_data["system_prompt"])


class SettingsForm(ModelChoiceForm):
    model_field = "default_model"
    empty_label = _("The site's choice")
    theme = forms.ChoiceField(label=_("Theme"), choices=User.Theme.choices, widget=forms.RadioSelect)

    class Meta:
        model = User
        fields = ("default_model", "system_prompt", "enter_sends", "theme")
        labels = {"system_prompt": _("Instructions for every conversation")}
        help_texts = {"system_prompt": _("What the model should know about you, or how it should answer.")}


class ConversationForm(ModelChoiceForm):
    model_field = "model"
    empty_label = _("Your default model")

    class Meta:
        model = Conversation
        fields = ("model", "system_prompt")
        labels = {"model": _("Model"), "system_prompt": _("Instructions for this conversation")}
        help_texts = {"system_prompt": _("In place of those in your settings.")}
