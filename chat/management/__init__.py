"""`manage.py` commands for operators. Each parses its arguments, calls the service layer and prints the result.

`command` is their base class; `stream_diagnosis` is what `stream_doctor` runs. May import every package but `chat.web`,
`chat.api` and `chat.admin`.
"""
