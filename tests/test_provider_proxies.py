"""The proxy that the environment names for an address."""

from __future__ import annotations

import httpx2
import pytest

from chat.providers.proxies import proxy_for

URL = httpx2.URL("https://eu.models.example:8443/v1")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_variables_there_is_no_proxy() -> None:
    assert proxy_for(URL) is None


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_variable_for_the_scheme_or_for_all_schemes_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_for(URL) == "http://proxy.example:3128"


def test_the_variable_of_another_scheme_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert proxy_for(URL) is None


def test_the_variable_for_the_scheme_comes_before_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "http://all.example:3128")
    monkeypatch.setenv("https_proxy", "http://secure.example:3128")
    assert proxy_for(URL) == "http://secure.example:3128"


def test_a_proxy_without_a_scheme_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    assert proxy_for(URL) == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("excluded", "url"),
    [
        ("*", "http://models.example/v1"),
        ("models.example", "http://models.example/v1"),
        ("models.example", "http://eu.models.example/v1"),
        ("MODELS.example", "http://eu.models.example/v1"),
        (".models.example", "http://eu.models.example/v1"),
        ("*.models.example", "http://eu.models.example/v1"),
        ("a.example, models.example ,b.example", "http://models.example/v1"),
        ("models.example:8080", "http://models.example:8080/v1"),
        ("models.example:80", "http://models.example/v1"),
        ("http://models.example", "http://models.example/v1"),
        ("all://models.example", "http://models.example/v1"),
        ("localhost", "http://localhost:11434/v1"),
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("192.168.0.0/16", "http://192.168.3.4/v1"),
        ("::1", "http://[::1]:8080/v1"),
        ("[::1]", "http://[::1]:8080/v1"),
        ("fd00::/8", "http://[fd12::1]/v1"),
    ],
)
def test_an_excluded_address_has_no_proxy(monkeypatch: pytest.MonkeyPatch, excluded: str, url: str) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", excluded)
    assert proxy_for(httpx2.URL(url)) is None


@pytest.mark.parametrize(
    ("excluded", "url"),
    [
        ("", "http://models.example/v1"),
        (",", "http://models.example/v1"),
        ("example.com", "http://models.example/v1"),
        ("models.example", "http://mymodels.example/v1"),
        (".models.example", "http://models.example/v1"),
        ("models.example:8080", "http://models.example/v1"),
        ("https://models.example", "http://models.example/v1"),
        ("192.168.0.0/16", "http://10.0.0.1/v1"),
        ("192.168.0.0/16", "http://models.example/v1"),
        ("0.0.0.0/0", "http://[::1]/v1"),
    ],
)
def test_any_other_address_has_the_proxy(monkeypatch: pytest.MonkeyPatch, excluded: str, url: str) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", excluded)
    assert proxy_for(httpx2.URL(url)) == "http://proxy.example:3128"
