"""The connection of a response that failed half-way ends without a last chunk, on both servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.site import ROOT, free_port
from tests.waiting import wait_until

APP = "tests.broken_responses_app:application"


class Server:
    def __init__(self, name: str, log: Path) -> None:
        self.port = free_port()
        self.log_file = log
        command = {
            "daphne": ["daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port), APP],
            "uvicorn": ["uvicorn", "--log-level", "warning", "--lifespan", "off", "--port", str(self.port), APP],
        }[name]
        with log.open("wb") as file:
            self.process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=file, stderr=file)

    def get(self, path: str) -> str:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=10).text

    def is_up(self) -> bool:
        try:
            return self.get("/") == "the first part"
        except httpx2.TransportError:
            return False

    @property
    def log(self) -> str:
        return self.log_file.read_text()


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(request.param, tmp_path / "server.log")
    try:
        wait_until(server.is_up, message=lambda: server.log)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(10)


@pytest.mark.parametrize("path", ["/expected", "/fault"])
def test_the_client_learns_that_the_response_is_incomplete(server: Server, path: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        server.get(path)


def test_an_expected_failure_is_not_logged(server: Server) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        server.get("/expected")
    assert "Traceback" not in server.log


def test_a_fault_is_logged_once(server: Server) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        server.get("/fault")
    wait_until(lambda: "a fault of ours" in server.log)
    assert server.log.count("Traceback") == 1


def test_the_server_goes_on(server: Server) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        server.get("/expected")
    assert server.get("/") == "the first part"
