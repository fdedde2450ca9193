from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import path
from django.views.generic import RedirectView

from chat.views import (
    accounts,
    api,
    conversations,
    docs,
    exports,
    finding,
    health,
    messages,
    pages,
    parts,
    preferences,
    streams,
    usage,
)

handler400 = pages.bad_request
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
    path("c/<uuid:conversation_id>/part/", parts.part, name="part"),
    path("conversations/", parts.conversations, name="conversations"),
    path("search/", finding.search, name="search"),
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
    path("m/<uuid:message_id>/continue/", messages.resume, name="continue"),
    path("api/chat", api.chat, name="api-chat"),
    path("api/chat/<path:chat_id>/stream", api.stream, name="api-chat-stream"),
    path("api/chat/<path:chat_id>/stop", api.stop, name="api-chat-stop"),
    path("api/docs", docs.docs, name="api-docs"),
    path("api/openapi.json", docs.openapi, name="api-openapi"),
    path("api/completion", api.completion, name="api-completion"),
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
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True), name="admin-login"),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}chat/icon.svg"), name="favicon"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
    path("stream-check", health.stream_check, name="stream-check"),
]

if settings.DEBUG:
    from django.contrib.staticfiles.urls import staticfiles_urlpatterns

    urlpatterns += staticfiles_urlpatterns()
