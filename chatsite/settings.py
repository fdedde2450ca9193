"""All settings. Every one that operators may change comes from the environment; see .env.example."""

from __future__ import annotations

import os
import secrets
import sys
import warnings
from pathlib import Path
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured

from chatsite.env import Environment, channel_layer_host
from chatsite.languages import available_languages

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR / ".env")

DEBUG = env.flag("DEBUG", False)
HTTPS_ONLY = env.flag("HTTPS_ONLY", True)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env.number("TRUSTED_PROXIES", 0, maximum=16)
API_CORS_ORIGINS = env.origins("API_CORS_ORIGINS")
SIGNUP = env.flag("SIGNUP", False)
METRICS_TOKEN = env.text("METRICS_TOKEN")

_LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "::1", "testserver"}
if DEBUG and not set(ALLOWED_HOSTS) <= _LOCAL_HOSTS:
    raise ImproperlyConfigured("DEBUG must be 0 when ALLOWED_HOSTS names a public host.")


def _secret_key() -> str:
    """From the environment, else made once and kept in a file only its owner can read."""
    if given := env.text("SECRET_KEY"):
        if len(given) < 32:
            raise ImproperlyConfigured("SECRET_KEY must have at least 32 characters.")
        return given
    path = BASE_DIR / "data" / "secret-key"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, exist_ok=True)
    key = secrets.token_urlsafe(50)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    return key


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")

OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.http_url("OPENAI_BASE_URL")
CHAT_MODEL = env.text("CHAT_MODEL", "gpt-4o-mini")
CHAT_MAX_PROMPT_CHARS = env.number("CHAT_MAX_PROMPT_CHARS", 32_000, minimum=1, maximum=500_000)
CHAT_MAX_MESSAGES = env.number("CHAT_MAX_MESSAGES", 200, minimum=1, maximum=10_000)
CHAT_MAX_OUTPUT_TOKENS = env.number("CHAT_MAX_OUTPUT_TOKENS", 4096, minimum=1, maximum=1_000_000)
CHAT_ON_DISCONNECT = env.disconnect_policy("CHAT_ON_DISCONNECT")
CHAT_FIRST_TOKEN_TIMEOUT = env.seconds("CHAT_FIRST_TOKEN_TIMEOUT", 120)
CHAT_STALL_TIMEOUT = env.seconds("CHAT_STALL_TIMEOUT", 60)
CHAT_ANSWER_TIMEOUT = env.seconds("CHAT_ANSWER_TIMEOUT", 900)
LIMITER_WHEN_DOWN = env.choice("LIMITER_WHEN_DOWN", "local", ("local", "closed", "open"))

_mailer, DEFAULT_FROM_EMAIL = env.mailer("EMAIL_URL")
MAIL_ENABLED = bool(_mailer)
if django.VERSION >= (6, 1):
    MAILERS = {"default": _mailer or {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"}}
else:
    EMAIL_BACKEND = _mailer.get("BACKEND", "django.core.mail.backends.dummy.EmailBackend")
    _names = {"username": "HOST_USER", "password": "HOST_PASSWORD"}
    for _option, _value in _mailer.get("OPTIONS", {}).items():
        globals()[f"EMAIL_{_names.get(_option, _option.upper())}"] = _value

REDIS_URL, REDIS_SENTINELS = env.redis_servers("REDIS_URL")
DATABASES = {"default": env.database("DATABASE_URL", BASE_DIR / "data")}

INSTALLED_APPS = [
    "daphne",
    "chat",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
]

LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGES = available_languages(LOCALE_PATHS[0])
# With English alone nothing is looked up in catalogues, and no page is half in Django's own languages.
USE_I18N = len(LANGUAGES) > 1

MIDDLEWARE = [
    "chatsite.middleware.request_log.request_log",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "chatsite.middleware.security_headers.security_headers",
    "chatsite.middleware.multipart.complete_forms_only",
    "chatsite.middleware.api_access.one_credential",
    "chatsite.middleware.api_access.ApiCors",
    "chatsite.middleware.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    *(("django.middleware.locale.LocaleMiddleware",) if USE_I18N else ()),
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["chat.templatetags.translating"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "chat.User"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
PASSWORD_RESET_TIMEOUT = 7 * 24 * 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
_COLLECTED = (STATIC_ROOT / "staticfiles.json").exists()
_STATIC_STORAGE = (
    "whitenoise.storage.CompressedManifestStaticFilesStorage"
    if (_COLLECTED and not DEBUG) or "collectstatic" in sys.argv
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _STATIC_STORAGE},
}
WHITENOISE_USE_FINDERS = not _COLLECTED
WHITENOISE_ALLOW_ALL_ORIGINS = False
if not _COLLECTED:
    warnings.filterwarnings("ignore", "No directory at", UserWarning)

# Which paths and origins: chatsite.middleware.api_access.ApiCors.
CORS_ALLOW_METHODS = ("GET", "POST")
CORS_ALLOW_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "User-Agent")
CORS_EXPOSE_HEADERS = (
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Experimental-Stream-Data",
    "X-Vercel-AI-UI-Message-Stream",
)
CORS_PREFLIGHT_MAX_AGE = 600

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
FILE_UPLOAD_HANDLERS = ["chatsite.middleware.multipart.RefuseFileUploads"]

SESSION_ENGINE = "chat.accounts.session_store"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_ABSOLUTE_AGE = 30 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "chatsite.error_views.csrf_failure"
if HTTPS_ONLY:
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

_redis_options: dict[str, Any] = {
    "CLIENT_CLASS": "django_redis.client.DefaultClient",
    "SOCKET_CONNECT_TIMEOUT": 0.25,
    "SOCKET_TIMEOUT": 0.25,
}
if REDIS_SENTINELS:
    _redis_options |= {
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": REDIS_SENTINELS,
        "SENTINEL_KWARGS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
    }


def _cache(prefix: str) -> dict[str, Any]:
    if REDIS_URL:
        return {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": prefix,
            "OPTIONS": dict(_redis_options),
        }
    return {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": prefix,
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }


CACHES = {"default": _cache("chat"), "ratelimit": _cache("limits")}
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [channel_layer_host(REDIS_URL, REDIS_SENTINELS)],
                "prefix": "chat",
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "chatsite.logging.JsonFormatter"},
        "line": {"()": "chatsite.logging.LineFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line" if sys.stderr.isatty() else "json",
        }
    },
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "info", ("debug", "info", "warning")).upper()},
    "loggers": {
        "django": {"level": "INFO", "handlers": [], "propagate": True},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "channels_redis": {"level": "CRITICAL"},  # a traceback a second while Redis is away
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "asyncio": {"level": "WARNING"},
        "chatsite.request": {"level": "WARNING" if sys.stderr.isatty() else "NOTSET"},
    },
}
