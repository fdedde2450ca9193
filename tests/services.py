"""PostgreSQL databases and Redis servers that belong to one test run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from tests.site import free_port

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


def postgres_answers() -> bool:
    try:
        psycopg.connect(POSTGRES, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def postgres_database(template: str = "") -> Iterator[str]:
    """A database of its own, dropped afterwards; yields its `DATABASE_URL`."""
    name = f"chatsite_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    base, _, _old = POSTGRES.rpartition("/")
    try:
        yield f"{base}/{name}"
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


class RedisServer:
    """A Redis of our own: it can be frozen, emptied and killed without hurting anybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_there() -> bool:
        return shutil.which("redis-server") is not None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def freeze(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process:
            self.thaw()
            self.process.kill()
            self.process.wait()
            self.process = None


class Guarded:
    """Two Redis servers, the second a copy of the first, and a sentinel that puts it in its place within seconds."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder), RedisServer(folder)]
        self._sentinel_port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self._sentinel_port},127.0.0.1:1/chat/0"

    def start(self) -> None:
        first, second = self.servers
        first.start()
        second.start()
        with second.client() as client:
            client.replicaof("127.0.0.1", first.port)
        lines = [
            f"sentinel monitor chat 127.0.0.1 {first.port} 1",
            "sentinel down-after-milliseconds chat 500",
            "sentinel failover-timeout chat 3000",
        ]
        config = self._folder / "sentinel.conf"
        config.write_text("\n".join(lines))
        command = ["redis-server", str(config), "--sentinel", "--port", str(self._sentinel_port)]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait_until(lambda sentinel: sentinel.sentinel_slaves("chat"))

    def fail_over(self) -> None:
        """Kills the first server; returns when the second has its place."""
        first, second = self.servers
        first.stop()
        self._wait_until(lambda sentinel: sentinel.sentinel_get_master_addr_by_name("chat")[1] == second.port)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        for server in self.servers:
            server.stop()

    def _wait_until(self, holds: Callable[[redis.Redis], object]) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with (
                redis.Redis(port=self._sentinel_port, socket_timeout=1) as sentinel,
                contextlib.suppress(redis.RedisError),
            ):
                if holds(sentinel):
                    return
            time.sleep(0.1)
        raise TimeoutError("the sentinel does not see what it should")


class Proxy:
    """A TCP way to a server that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._links: set[socket.socket] = set()
        self._whole = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection; new ones end at once."""
        self._whole = False
        for link in list(self._links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._links |= {near, far}
                threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for link in (source, sink):
            self._links.discard(link)
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        source.close()
