"""The languages that the site can be shown in."""

from __future__ import annotations

from pathlib import Path

from django.conf import global_settings
from django.utils.translation import to_locale


def available_languages(locale_folder: Path) -> list[tuple[str, str]]:
    """Codes and names: English, in which the site is written, and the languages with a compiled catalogue there."""
    return [
        (code, name)
        for code, name in global_settings.LANGUAGES
        if code == "en" or (locale_folder / to_locale(code) / "LC_MESSAGES" / "django.mo").is_file()
    ]
