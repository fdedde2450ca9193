"""The usage ledger in the admin: a read-only list with filters, sums and a CSV download."""
