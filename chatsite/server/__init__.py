"""What stands between the ASGI server and Django's request handling.

Public names:
- `handler.RequestHandler`: Django's handler; an open stream holds neither a thread nor a database connection.
- `async_middleware.ASYNC_MIDDLEWARE`: Django's own middleware without thread hops; used by `RequestHandler`.
- `body_limit.RequestBodyLimit`, `daphne_body_limit.limit_daphne_request_bodies`: refuse bodies over a megabyte.
- `broken_responses.AbortBrokenResponses`: closes the connection of a response that failed half-way.
- `shutdown.GracefulShutdown`: SIGTERM saves what runs before the server stops.
- `websockets.WebSocketRoute`: the one WebSocket address.
- `csrf.skip_csrf_check`, `error_logging.mark_as_logged`: two private attributes of Django.

All use of private API of Django, asgiref, daphne and uvicorn in this project is in this package. Each use has a comment
that starts with "Private" and names the version it was read in; `tests/test_private_api.py` fails when it changes.

May import Django, asgiref, daphne and `chat.infra.database_threads`.
"""
