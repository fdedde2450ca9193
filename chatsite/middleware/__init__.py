"""Django middleware of this site, written against public API; each works under ASGI and under WSGI.

- `request_log.request_log`: request ids, and one log line for each request.
- `security_headers.security_headers`: the headers that every response carries.
- `multipart.complete_forms_only`, `multipart.RefuseFileUploads`: incomplete forms are refused, files are dropped.
- `api_access.one_credential`: a bearer key is used without cookies, and needs no CSRF token.
- `api_access.ApiCors`: pages of listed origins may call the API.
- `static_files.StaticFiles`: WhiteNoise on the event loop.

May import Django, asgiref, WhiteNoise, django-cors-headers, `chatsite.logging` and `chatsite.server.csrf`.
"""
