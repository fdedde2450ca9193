"""Log in and out, sign up, set and reset passwords."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login, views
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from chat import errors
from chat.accounts import login_throttle
from chat.streaming.error_responses import error_headers
from chat.web.forms import SignupForm


def _error_page(request: HttpRequest, error: errors.ChatError, title: str) -> HttpResponse:
    context = {"error": error, "title": title, "back": request.get_full_path()}
    response = render(request, "registration/refused.html", context, status=error.status)
    for name, value in error_headers(error).items():
        response.headers[name] = value
    return response


class Login(views.LoginView):
    extra_context = {"signup_open": settings.SIGNUP, "mail": settings.MAIL_ENABLED}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = request.POST.get("username", "")
        try:
            attempt = login_throttle.start_attempt(request, name)
        except errors.ChatError as error:
            return _error_page(request, error, _("Too many attempts"))
        succeeded = False
        try:
            response = super().post(request, *args, **kwargs)
            succeeded = response.status_code == 302
        finally:
            attempt.finish(succeeded=succeeded)
        if succeeded:
            login_throttle.remember_device(response, name)
        return response


class Logout(views.LogoutView):
    """Also clears drafts and cached pages in this browser."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response


class Throttled:
    """Mixin for other account forms: each POST counts against a limit by address."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            attempt = login_throttle.start_signup_attempt(request)
        except errors.ChatError as error:
            return _error_page(request, error, _("Too many attempts"))
        attempt.finish(succeeded=False)
        response: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc]
        return response


class SetPassword(Throttled, views.PasswordResetConfirmView):
    """The page of an invitation or of a reset mail."""


class ResetPassword(Throttled, views.PasswordResetView):
    """Only where e-mail is configured. Answers the same for known and unknown addresses."""

    subject_template_name = "registration/password_reset_subject.txt"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.MAIL_ENABLED:
            raise Http404
        return super().dispatch(request, *args, **kwargs)


@require_http_methods(["GET", "POST"])
def signup(request: HttpRequest) -> HttpResponse:
    if not settings.SIGNUP:
        raise Http404
    form = SignupForm(request.POST or None)
    if request.method == "POST":
        try:
            login_throttle.start_signup_attempt(request).finish(succeeded=False)
        except errors.ChatError as error:
            return _error_page(request, error, _("Too many attempts"))
        if form.is_valid():
            login(request, form.save())
            return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "registration/signup.html", {"form": form})
