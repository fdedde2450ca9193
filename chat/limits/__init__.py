"""The rate limiter: what a user may send, spend and run at once.

Every answer reserves what it may use before the provider is called, and settles what it used when it ends. One
call to the store decides under all rules of a subject: all of them grant, or nothing changes.

- `limiter.current()`: the limiter of this process: `reserve`, `renew`, `settle`, `peek_sync`, `reset_sync`, ...
- `plans`: the rules that apply to a user, a login name or an address, and the names of these subjects.
- `status`: the limits of a user with numbers and texts for pages, admin and commands.
- `messages`: the sentence of a refusal, and the response headers.

Inside: `rules` decides on a subject's state and is pure, with `counters`, `reservations`, `periods`, `refusal_log`
and `values`; `stores` keeps the states in memory or in Redis, where `limits.lua` decides exactly as `rules` does;
`ledger` reads what a store has lost from the usage ledger; `local_fallback` decides while Redis is down.

May import `chat.models`, `chat.infra` and `chat.errors`. Nothing else touches the limiter's cache.
"""
