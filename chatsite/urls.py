from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import path

from chat.views import conversations, health, messages, pages, streams

urlpatterns = [
    path("", pages.home, name="home"),
    path("c/", messages.send, name="send-first"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/messages/", messages.send, name="send"),
    path("c/<uuid:conversation_id>/rename/", conversations.rename, name="rename"),
    path("c/<uuid:conversation_id>/delete/", conversations.delete, name="delete"),
    path("m/<uuid:message_id>/stream/", streams.stream, name="stream"),
    path("m/<uuid:message_id>/stop/", messages.stop, name="stop"),
    path("m/<uuid:message_id>/regenerate/", messages.regenerate, name="regenerate"),
    path("m/<uuid:message_id>/edit/", messages.edit, name="edit"),
    path("m/<uuid:message_id>/continue/", messages.resume, name="continue"),
    path("accounts/login/", auth.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("accounts/signup/", pages.signup, name="signup"),
    path("accounts/password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path("accounts/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("accounts/welcome/<uidb64>/<token>/", auth.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("accounts/welcome/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

if settings.DEBUG:
    from django.contrib.staticfiles.urls import staticfiles_urlpatterns

    urlpatterns += staticfiles_urlpatterns()
