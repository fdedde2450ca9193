from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from chat.admin import catalogue, conversation_access, users
from chat.admin.ledger import admin as ledger

__all__ = ["catalogue", "conversation_access", "ledger", "users"]

admin.site.site_header = _("Chatsite administration")
admin.site.site_title = _("Chatsite")
admin.site.index_title = _("Administration")
