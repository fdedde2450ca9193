FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt /src/
RUN /venv/bin/pip install --require-hashes -r /src/requirements.txt
COPY manage.py /src/
COPY chatsite /src/chatsite
COPY chat /src/chat
COPY locale /src/locale
COPY templates /src/templates
COPY static /src/static
WORKDIR /src
RUN SECRET_KEY=only-for-collecting-static-files-at-build DATABASE_URL=sqlite:////tmp/none.sqlite3 \
    /venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /venv/bin/python -m compileall -q chat chatsite

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin chatsite \
    && install -d -o chatsite -m 700 /app/data
COPY --from=build /venv /venv
COPY --from=build /src /app
WORKDIR /app
USER chatsite
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
VOLUME /app/data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["uvicorn", "chatsite.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--no-proxy-headers", "--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "3"]
