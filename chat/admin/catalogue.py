"""Models and prices."""

from __future__ import annotations

from django.contrib import admin

from chat.models import ChatModel, ModelPrice


class PriceInline(admin.TabularInline):
    model = ModelPrice
    extra = 0


@admin.register(ChatModel)
class ChatModelAdmin(admin.ModelAdmin):
    list_display = ("name", "label", "enabled", "is_default", "context_window", "max_output")
    list_filter = ("enabled",)
    search_fields = ("name", "label")
    filter_horizontal = ("groups",)
    inlines = (PriceInline,)
