"""The site's settings for tests inside this process. `TEST_DATABASE_URL` chooses the database."""

import os
import tempfile

os.environ["SECRET_KEY"] = "test-only-" + "k" * 40
os.environ["HTTPS_ONLY"] = "0"
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CHAT_MODEL", "REDIS_URL", "DEBUG", "ALLOWED_HOSTS"):
    os.environ[name] = ""
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")

from chatsite.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_database = DATABASES["default"]  # noqa: F405
_name = f"chatsite-test-{os.getpid()}"  # several runs may go on at once
_sqlite = "sqlite" in str(_database["ENGINE"])
_database["TEST"] = {"NAME": f"{tempfile.gettempdir()}/{_name}.sqlite3" if _sqlite else _name}
