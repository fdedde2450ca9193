"""The health page, and its summary for the front page."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from chat import providers
from chat.admin.health.problems import Level, find_problems
from chat.admin.health.processes import server_processes
from chat.admin.health.recent_errors import errors_of_last_hour
from chat.admin.health.services import check_services
from chat.admin.pages import SEE_USAGE, render_page, require_permissions


@require_permissions(SEE_USAGE)
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    processes = server_processes()
    errors = errors_of_last_hour()
    services = check_services()
    return render_page(
        request,
        "health",
        _("Health"),
        problems=find_problems(processes, errors),
        services=services,
        recent_errors=errors,
        processes=processes,
        configuration=_configuration(),
        at=timezone.now(),
    )


def summary() -> tuple[Level, int]:
    """How serious the worst problem is, and the number of problems and failed services."""
    failed = sum(not service.answers for service in check_services())
    problems = find_problems(server_processes(), errors_of_last_hour())
    if failed or any(problem.level == "bad" for problem in problems):
        return "bad", len(problems) + failed
    return "warn" if problems else "good", len(problems)


def _configuration() -> list[tuple[str, str]]:
    """The settings that matter here, without secrets."""
    return [
        (_("Model"), settings.CHAT_MODEL),
        (_("Provider"), _("demo") if providers.is_demo() else urlsplit(settings.OPENAI_BASE_URL).hostname or "OpenAI"),
        (_("Key"), _("set") if settings.OPENAI_API_KEY else _("not set")),
        (_("Time zone"), settings.TIME_ZONE),
        (_("HTTPS only"), _("yes") if settings.HTTPS_ONLY else _("no")),
        (_("When Redis is down"), settings.LIMITER_WHEN_DOWN),
    ]
