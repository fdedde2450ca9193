from chat.admin import access, catalogue, ledger

__all__ = ["access", "catalogue", "ledger"]
