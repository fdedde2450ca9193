"""The API does what its description says, whatever comes; its examples carry the reader's address."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api import Api, api_of_a_site

EXAMPLES = 1000 if os.environ.get("SOAK") == "1" else 40
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["", " ", "\ud800", "\0", "x" * 200])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Api]:
    with api_of_a_site(tmp_path_factory.mktemp("description"), migrated) as api:
        yield api


@pytest.fixture(scope="module")
def description(api: Api) -> dict[str, Any]:
    response = httpx2.get(f"{api.url}/api/openapi.json")
    assert response.status_code == 200
    return response.json()


def values(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows, as far as this description goes."""
    if "$ref" in schema:
        return values(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if "anyOf" in schema:
        return st.one_of([values({**rest(schema), **each}, schemas) for each in schema["anyOf"]])
    kinds = schema.get("type", "object")
    return st.one_of([of_kind(kind, schema, schemas) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def rest(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "anyOf"}


def of_kind(kind: str, schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object":
        known = {name: values(each, schemas) for name, each in schema.get("properties", {}).items()}
        required = {name: known.pop(name) for name in schema.get("required", ()) if name in known}
        return st.fixed_dictionaries(required, optional=known)
    if kind == "array":
        return st.lists(values(schema["items"], schemas), max_size=3)
    if kind == "string":
        return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 12), 12))
    return {"boolean": st.booleans(), "integer": st.integers(), "null": st.none()}[kind]


@st.composite
def bodies(draw: st.DrawFn, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """What the schema allows, the same with something wrong in it, or anything."""
    body = draw(values(schema, schemas))
    wrong = draw(st.sampled_from(["", "", "a value", "everything"]))
    if wrong == "everything":
        return draw(JSON)
    if wrong and body:
        body[draw(st.sampled_from(sorted(body)))] = draw(JSON)
    return body


@st.composite
def requests(draw: st.DrawFn, description: dict[str, Any]) -> tuple[str, str, dict[str, str], Any, dict[str, Any]]:
    path = draw(st.sampled_from(sorted(description["paths"])))
    methods = description["paths"][path]
    method = draw(st.sampled_from(sorted(methods.keys() - {"parameters"})))
    operation, schemas = methods[method], description["components"]["schemas"]
    query, address = {}, path
    for parameter in [*methods.get("parameters", []), *operation.get("parameters", [])]:
        value = draw(values(parameter["schema"], schemas) | TEXT)
        if parameter["in"] == "path":
            address = address.replace("{chat_id}", quote(value.encode("utf-8", "replace"), safe="") or "x")
        elif parameter.get("required") or draw(st.booleans()):
            query[parameter["name"]] = value.encode("utf-8", "replace").decode()
    body = None
    if "requestBody" in operation:
        body = draw(bodies(operation["requestBody"]["content"]["application/json"]["schema"], schemas))
    return method, address, query, body, operation["responses"]


def test_whatever_comes_is_answered_as_described(api: Api, description: dict[str, Any]) -> None:
    seen: set[tuple[str, str, int]] = set()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests(description))
    def ask(request: tuple[str, str, dict[str, str], Any, dict[str, Any]]) -> None:
        method, path, query, body, responses = request
        content = None if body is None else json.dumps(body).encode()
        response = api.http.request(method, api.url + path, params=query, content=content, headers=api.bearer())
        assert str(response.status_code) in responses, (response.status_code, response.text)
        assert response.status_code < 500
        described = responses[str(response.status_code)].get("content", {})
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        assert not described or kind in described
        seen.add((method, path, response.status_code))

    ask()
    assert {status for _method, _path, status in seen} >= {200, 204, 400}


def test_the_description_names_every_address_of_the_api(description: dict[str, Any], api: Api) -> None:
    from chat.urls import urlpatterns

    served = {f"/{each.pattern}".replace("<path:chat_id>", "{chat_id}") for each in urlpatterns}
    served = {path for path in served if path.startswith("/api/")} - {"/api/docs", "/api/openapi.json"}
    assert served == set(description["paths"])
    assert description["servers"] == [{"url": api.url}]


def test_the_examples_can_be_copied_as_they_are(api: Api) -> None:
    page = httpx2.get(f"{api.url}/api/docs", headers={"Host": "localhost:8123"})
    assert page.status_code == 200
    assert "http://localhost:8123/api/chat" in page.text
    text = re.sub(r"<[^>]+>", "", httpx2.get(f"{api.url}/api/docs").text)
    for name in ("useChat 5, 6, 7", "useChat 4", "useChat 3", "useChat 2", "useCompletion"):
        assert name in text
    addresses = re.findall(rf"{api.url}(/api/(?:chat|completion)(?:\?[\w=&-]+|/[\w-]+/stop)?)\b", text)
    assert len(set(addresses)) >= 9
    for address in set(addresses):
        body = {"prompt": "hi"} if "completion" in address else {"messages": [{"role": "user", "content": "hi"}]}
        assert api.post(address, body).status_code in (200, 204), address
