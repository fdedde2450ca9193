"""The site's addresses. Names are relied on by templates, tests and clients' documentation."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import path

from chat.api import docs, views
from chat.web import (
    accounts,
    conversations,
    exports,
    health,
    history,
    messages,
    pages,
    preferences,
    search,
    streams,
    usage,
)

urlpatterns = [
    path("", pages.home, name="home"),
    path("c/", messages.send, name="send-first"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/messages/", messages.send, name="send"),
    path("c/<uuid:conversation_id>/rename/", conversations.rename, name="rename"),
    path("c/<uuid:conversation_id>/delete/", conversations.delete, name="delete"),
    path("c/<uuid:conversation_id>/undelete/", conversations.undelete, name="undelete"),
    path("c/<uuid:conversation_id>/settings/", preferences.conversation_settings, name="conversation-settings"),
    path("c/<uuid:conversation_id>/export/", exports.export_one, name="export"),
    path("c/<uuid:conversation_id>/part/", history.part, name="part"),
    path("conversations/", history.conversations, name="conversations"),
    path("search/", search.search, name="search"),
    path("export/", exports.export_all, name="export-all"),
    path("settings/", preferences.settings, name="settings"),
    path("settings/keys/", preferences.add_key, name="add-key"),
    path("settings/keys/<int:key_id>/revoke/", preferences.revoke_key, name="revoke-key"),
    path("settings/sessions/end/", preferences.end_sessions, name="end-sessions"),
    path("settings/delete-all/", preferences.delete_all, name="delete-all"),
    path("m/<uuid:message_id>/show/", messages.show, name="show"),
    path("m/<uuid:message_id>/stream/", streams.stream, name="stream"),
    path("m/<uuid:message_id>/stop/", messages.stop, name="stop"),
    path("m/<uuid:message_id>/regenerate/", messages.regenerate, name="regenerate"),
    path("m/<uuid:message_id>/edit/", messages.edit, name="edit"),
    path("m/<uuid:message_id>/continue/", messages.continue_answer, name="continue"),
    path("api/chat", views.chat, name="api-chat"),
    path("api/chat/<path:chat_id>/stream", views.stream, name="api-chat-stream"),
    path("api/chat/<path:chat_id>/stop", views.stop, name="api-chat-stop"),
    path("api/docs", docs.docs, name="api-docs"),
    path("api/openapi.json", docs.openapi, name="api-openapi"),
    path("api/completion", views.completion, name="api-completion"),
    path("usage/", usage.usage, name="usage"),
    path("accounts/login/", accounts.Login.as_view(), name="login"),
    path("accounts/logout/", accounts.Logout.as_view(), name="logout"),
    path("accounts/signup/", accounts.signup, name="signup"),
    path("accounts/password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path("accounts/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("accounts/reset/", accounts.ResetPassword.as_view(), name="password_reset"),
    path("accounts/reset/done/", auth.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("accounts/welcome/<uidb64>/<token>/", accounts.SetPassword.as_view(), name="password_reset_confirm"),
    path("accounts/welcome/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
    path("stream-check", health.stream_check, name="stream-check"),
]
