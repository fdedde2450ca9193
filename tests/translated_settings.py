"""The settings of tests, for a site of several languages."""

from tests.settings import *  # noqa: F403

USE_I18N = True
