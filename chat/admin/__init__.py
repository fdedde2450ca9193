"""The admin site: users, plans, models and prices, and own pages for usage, running answers, limits and health.

- `users`, `plans`, `catalogue`: Django's forms for the tables that admins edit.
- `dashboard`, `ledger`, `running_answers`, `health`: what was used, what runs, and what needs attention.
- `limits`: the limits of one user. `conversation_access`: reading a conversation, with a reason.
- `pages`, `generic`, `widgets`, `read_only`, `csv_export`: shared by the others.

The pages show numbers, not conversations; only `conversation_access` shows text. May import every package but
`chat.web`, `chat.api` and `chat.management`.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from chat.admin import catalogue, conversation_access, plans, users
from chat.admin.ledger import admin as ledger

__all__ = ["catalogue", "conversation_access", "ledger", "plans", "users"]

admin.site.site_header = _("Chatsite administration")
admin.site.site_title = _("Chatsite")
admin.site.index_title = _("Administration")
