"""Accounts: login, invitations, API keys, sessions, retention, data export and erasure.

- `http`: the typed request of a logged-in user, `current_user`
- `login_throttle`: limits on login and sign-up attempts
- `invitations`: one-time links to set a password
- `api_keys`: create, authenticate and revoke API keys
- `session_store`: the session engine (`SESSION_ENGINE`)
- `session_watcher`: end open connections when their session ends
- `data_export`: everything stored about a user, as JSON and Markdown
- `erasure`: lock and erase an account
- `retention`: remove conversations after their retention period

May import `chat.models`, `chat.limits` and everything below them.
"""
