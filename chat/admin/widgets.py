"""Widgets of the browser's own in place of Django's scripted ones, parts of which no screen reader can name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.auth.models import Permission
from django.db import models


class MomentInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"step": 1}, format="%Y-%m-%dT%H:%M:%S")


class PlainWidgets(BaseModelAdmin):
    filter_horizontal = ()
    formfield_overrides = {models.DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput}}

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        many = db_field.remote_field.model is Permission
        kwargs["widget"] = forms.SelectMultiple(attrs={"size": 14}) if many else forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)
