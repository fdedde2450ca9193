"""What a running site shows and signs must not change while its code does; see `tests/contract.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.contract import lost, recorded
from tests.contract_site import Observed, safety_identifier
from tests.fakes import FakeProvider
from tests.site import Site, token_in

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def seen(make_module_site: Callable[..., Site]) -> Iterator[Observed]:
    with FakeProvider() as upstream:
        yield Observed(make_module_site(OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test"), upstream)


# Pages


@pytest.mark.parametrize("kind", sorted(recorded("articles")))
def test_an_article_keeps_its_ids_and_data_attributes(seen: Observed, kind: str) -> None:
    assert lost(recorded("articles")[kind], seen.articles[kind]) == []


def test_a_refusal_carries_its_code(seen: Observed) -> None:
    assert 'data-code="limit-exceeded"' in seen.refusal().text


# Numbers and logs


def test_metrics_keep_their_names_types_labels_and_buckets(seen: Observed) -> None:
    assert lost(recorded("metrics"), seen.metrics()) == []


@pytest.mark.parametrize("line", sorted(recorded("log_keys")))
def test_a_line_of_the_json_log_keeps_its_keys(seen: Observed, line: str) -> None:
    assert lost(recorded("log_keys")[line], seen.log_keys()[line]) == []


# Documents


@pytest.fixture(scope="module")
def command_output(seen: Observed) -> dict[str, Any]:
    return seen.command_output()


@pytest.mark.parametrize("line", sorted(recorded("command_output")))
def test_the_rows_of_a_command_keep_their_columns(command_output: dict[str, Any], line: str) -> None:
    assert lost(recorded("command_output")[line], command_output[line]) == []


@pytest.mark.parametrize("document", sorted(recorded("exports")))
def test_an_export_keeps_its_keys(seen: Observed, document: str) -> None:
    assert lost(recorded("exports")[document], seen.exports()[document]) == []


@pytest.mark.parametrize("sheet", sorted(recorded("admin_sheets")))
def test_a_sheet_of_the_admin_keeps_its_columns(seen: Observed, sheet: str) -> None:
    assert seen.admin_sheets()[sheet] == recorded("admin_sheets")[sheet]


def test_the_api_refuses_in_the_form_of_each_dialect(seen: Observed) -> None:
    assert lost(recorded("api_errors"), seen.api_errors()) == []


# Ids


@pytest.fixture(scope="module")
def ids(seen: Observed) -> dict[str, Any]:
    return seen.ids()


@pytest.mark.parametrize("of", ["conversation", "question", "answer", "edit"])
def test_the_user_and_the_client_key_give_the_same_id_as_before(ids: dict[str, Any], of: str) -> None:
    assert ids[of] == recorded("ids")[of]


@pytest.mark.parametrize("of", ["sent", "again"])
def test_a_message_that_an_api_client_numbers_gives_the_same_id_as_before(ids: dict[str, Any], of: str) -> None:
    assert ids["api"][of] == recorded("ids")["api"][of]


def test_openai_is_told_the_same_identifier_of_a_user_as_before(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    assert safety_identifier(make_site(), upstream) == recorded("safety_identifier")


# Signed values


def log_in(site: Site, password: str, *, device: str = "") -> int:
    """The status after one attempt as alice, in a browser without other cookies."""
    cookies = {"device": device} if device else None
    with httpx2.Client(base_url=site.url, headers={"Origin": site.url}, cookies=cookies, timeout=30) as http:
        token = token_in(http.get("/accounts/login/").text)
        data = {"username": "alice", "password": password, "csrfmiddlewaretoken": token}
        return http.post("/accounts/login/", data=data).status_code


def test_a_browser_that_logged_in_before_is_known_by_its_cookie(site: Site) -> None:
    while (status := log_in(site, "wrong")) != 429:
        assert status == 200
    assert log_in(site, "alice-password") == 429
    assert log_in(site, "alice-password", device=recorded("signed")["device cookie"]) == 302


def test_a_stream_check_signed_before_is_accepted(seen: Observed) -> None:
    headers = {"X-Stream-Check": recorded("signed")["stream check"]}
    assert seen.alice.http.get("/stream-check", headers=headers).status_code == 200
