"""Technical foundations without knowledge of the product: database threads, prepared queries, timers, tasks, metrics,
notifications between processes, the owner of a process's state; tables and numbers as they are shown.

May import: `chat.errors`, and nothing else of `chat`.
"""
