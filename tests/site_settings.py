"""The site as it is shipped, but for passwords that are quick to check: a login would cost half a second each."""

from chatsite.settings import *  # noqa: F403

PASSWORD_HASHERS = ["tests.hashers.Quick"]
