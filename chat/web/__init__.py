"""The pages: views, forms, fragments and the WebSocket of open pages.

Views are thin: decorators, form, one function of `chat.answers` or a model, one response. Addresses are in
`chat.urls`. May import: streaming and everything below it; nothing of api.
"""
