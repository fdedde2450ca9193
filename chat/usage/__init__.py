"""What was used and what it cost.

- `prices`: the price of a model, and a sentence for each model without one.
- `reports`: sums of the daily totals, by user, model, day or group.
- `reconciliation`: compares the daily totals with the usage ledger, and rebuilds them from it.

Money is integer micro-dollars and times are milliseconds until they are formatted. May import `chat.errors`,
`chat.infra`, `chat.models` and `chat.providers`.
"""
