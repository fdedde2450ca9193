"""Django's generic admin classes, with their parameter for type checkers.

`ModelAdmin[User]` is an error at run time: Django's classes are generic in their type stubs only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import options
from django.contrib.auth import admin as auth_admin
from django.contrib.auth import forms as auth_forms
from django.core import paginator

if TYPE_CHECKING:
    BaseModelAdmin = options.BaseModelAdmin[Any]
    ModelAdmin = options.ModelAdmin[Any]
    StackedInline = options.StackedInline[Any, Any]
    UserAdmin = auth_admin.UserAdmin[Any]
    UserChangeForm = auth_forms.UserChangeForm[Any]
    Paginator = paginator.Paginator[Any]
else:
    BaseModelAdmin = options.BaseModelAdmin
    ModelAdmin = options.ModelAdmin
    StackedInline = options.StackedInline
    UserAdmin = auth_admin.UserAdmin
    UserChangeForm = auth_forms.UserChangeForm
    Paginator = paginator.Paginator
