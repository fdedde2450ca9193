"""Models and prices."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from chat.admin.generic import ModelAdmin, StackedInline
from chat.admin.widgets import NativeWidgets
from chat.models import ChatModel, ModelPrice


class PriceInline(NativeWidgets, StackedInline):
    model = ModelPrice
    extra = 0
    verbose_name_plural = _("Prices, in micro-dollars per million tokens")
    fields = (("valid_from", "prompt", "cached", "completion"),)


@admin.register(ChatModel)
class ChatModelAdmin(NativeWidgets, ModelAdmin):
    list_display = ("name", "label", "enabled", "is_default", "context_window", "max_output")
    list_filter = ("enabled",)
    search_fields = ("name", "label")
    inlines = (PriceInline,)
