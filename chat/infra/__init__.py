"""Technical foundations without knowledge of the product: database threads, prepared queries, timers, tasks, metrics,
notifications between processes, the owner of a process's state.

May import: nothing of `chat`.
"""
