from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from chat.admin import access, catalogue, ledger, readings

__all__ = ["access", "catalogue", "ledger", "readings"]

admin.site.site_header = _("Chatsite administration")
admin.site.site_title = _("Chatsite")
admin.site.index_title = _("Administration")
