"""The Django project: settings, addresses, the ASGI application, and what stands between the server and `chat`.

- `settings`, `env`, `languages`: all settings, and how they are read from the environment.
- `urls`, `error_views`: the addresses and the error pages of the whole site.
- `asgi`: the application that an ASGI server serves.
- `logging`: log formatters.
- `middleware`: Django middleware, written against public API.
- `server`: the layers around Django that need private API of Django, asgiref, daphne or uvicorn. No other package of
  the project uses such API.

`chat` imports nothing from here. `asgi`, `urls` and `error_views` import from `chat`; `server` imports
`chat.infra.database_threads`; the rest imports nothing from `chat`.
"""
