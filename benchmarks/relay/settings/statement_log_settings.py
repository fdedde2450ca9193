"""The site's settings, and a log of every SQL statement that Django executes.

Each line of the file that STATEMENT_LOG names is the monotonic clock in seconds, a space and the statement without its
parameters. The folder of this module is put on the server's PYTHONPATH, so that it also works for other checkouts.
"""

import os
import time

from django.db.backends.signals import connection_created

from chatsite.settings import *  # noqa: F403

_LOG = os.open(os.environ["STATEMENT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _log_statement(execute, sql, params, many, context):
    line = " ".join(str(sql).split())
    os.write(_LOG, f"{time.monotonic():.6f} {line}\n".encode())
    return execute(sql, params, many, context)


def _log_statements_of(connection, **_kwargs):
    if _log_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_log_statement)


connection_created.connect(_log_statements_of)
