"""The browser's own form widgets instead of Django's scripted ones, parts of which have no accessible name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Permission
from django.db import models

from chat.admin.generic import BaseModelAdmin


class LocalDateTimeInput(forms.DateTimeInput):
    """A date and a time with seconds, in the site's time zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"step": 1}, format="%Y-%m-%dT%H:%M:%S")


class NativeWidgets(BaseModelAdmin):
    """Mixin for model admins: native inputs for times, checkboxes or a select for many-to-many fields."""

    filter_horizontal = ()
    formfield_overrides = {models.DateTimeField: {"form_class": forms.DateTimeField, "widget": LocalDateTimeInput}}

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        has_many_choices = db_field.remote_field.model is Permission
        kwargs["widget"] = (
            forms.SelectMultiple(attrs={"size": 14}) if has_many_choices else forms.CheckboxSelectMultiple()
        )
        return super().formfield_for_manytomany(db_field, request, **kwargs)
