"""`manage.py` for operators: what each command does, and one line and exit code 1 for whatever is wrong."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import load_command_class
from django.test import Client
from django.utils import timezone

from chat.accounts import api_keys, retention
from chat.infra.tables import csv_cell, write_rows
from chat.models import (
    ApiKey,
    ChatModel,
    Conversation,
    DailyUsage,
    LimitOverride,
    Message,
    ModelPrice,
    Outcome,
    ServerProcess,
    UsageRecord,
    User,
    site_day,
)
from tests.fakes import FakeUpstream, error
from tests.site import Site

COMMANDS = ("usage", "models", "prune", "export", "erase", "invite", "apikey", "ask")
USES_DATABASE = {
    "usage": ["usage"],
    "usage-check": ["usage", "--check"],
    "models": ["models", "list"],
    "prune": ["prune"],
    "export": ["export", "alice"],
    "erase": ["erase", "alice"],
    "invite": ["invite", "alice"],
    "apikey": ["apikey", "list"],
    "ask": ["ask", "hello", "--user", "alice"],
}


class Terminal:
    """Runs a command as the shell would, inside this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, name: str, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        self.capsys.readouterr()
        code = 0
        try:
            load_command_class("chat", name).run_from_argv(["manage.py", name, *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        said = self.capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def manage(transactional_db: Any, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def alice(transactional_db: Any) -> User:
    return User.objects.create_user("alice", email="alice@example.org")


def talk(user: User, *, days_ago: float = 0, status: str = "complete", **more: Any) -> Conversation:
    then = timezone.now() - dt.timedelta(days=days_ago)
    values = {"title": "Tea", "created_at": then, "updated_at": then, **more}
    conversation = Conversation.objects.create(user=user, **values)
    question = Message.objects.create(conversation=conversation, role="user", content="Why?", created_at=then)
    conversation.head = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content="Because.", status=status, model="m"
    )
    conversation.save()
    return conversation


def book(user: User, **more: Any) -> None:
    fields = {"model": "m", "status": "complete", "prompt_tokens": 10, "completion_tokens": 5, "cost": 7, **more}
    UsageRecord.objects.record(
        Outcome(message_id=uuid.uuid4(), conversation_id=uuid.uuid4(), user_id=user.pk, **fields)
    )


@pytest.fixture
def gpt_4o(transactional_db: Any) -> ChatModel:
    """One disabled model with a price; tests of the whole database begin without the shipped ones."""
    ChatModel.objects.all().delete()
    model = ChatModel.objects.create(name="gpt-4o", enabled=False)
    then = timezone.now() - dt.timedelta(days=9)
    ModelPrice.objects.create(model=model, valid_from=then, prompt=2_500_000, completion=10_000_000)
    return model


# Whatever is wrong is one line


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "--since", "yesterday"],
        ["usage", "--since=-5d"],
        ["usage", "--since", "0d"],
        ["usage", "--since", "2026-02-30"],
        ["usage", "--since", "2026-03-02", "--until", "2026-03-01"],
        ["usage", "--by", "colour"],
        ["usage", "--user", "nobody"],
        ["usage", "--user", "a\0b"],
        ["usage", "--order", "beauty"],
        ["usage", "--format", "xml"],
        ["usage", "--check", "--rebuild"],
        ["usage", "extra"],
        ["models"],
        ["models", "dance"],
        ["models", "enable", "nope"],
        ["models", "disable"],
        ["models", "default", "gpt-4o"],
        ["models", "price", "nope", "--prompt", "1", "--completion", "1"],
        ["models", "price", "gpt-4o", "--prompt", "1"],
        ["models", "price", "gpt-4o", "--prompt=-1", "--completion", "1"],
        ["models", "price", "gpt-4o", "--prompt", "NaN", "--completion", "1"],
        ["models", "price", "gpt-4o", "--prompt", "1e99", "--completion", "1"],
        ["models", "price", "gpt-4o", "--prompt", "0.0000001", "--completion", "1"],
        ["models", "price", "gpt-4o", "--prompt", "1", "--completion", "1", "--from", "soon"],
        ["prune", "--older-than", "-3d"],
        ["prune", "--older-than", "0d"],
        ["prune", "--older-than", "999999d"],
        ["prune", "--older-than", "3 weeks"],
        ["prune", "--dry-run", "--yes"],
        ["export"],
        ["export", "nobody"],
        ["export", "alice", "--to", "/proc/no/such/folder"],
        ["erase"],
        ["erase", "nobody", "--yes"],
        ["invite"],
        ["invite", "a b"],
        ["invite", "x" * 151],
        ["invite", "bob", "--email", "not an address"],
        ["invite", "bob", "--base-url", "javascript:alert(1)"],
        ["invite", "alice", "--staff"],
        ["apikey", "create", "nobody", "--name", "x"],
        ["apikey", "create", "alice"],
        ["apikey", "create", "alice", "--name", "  "],
        ["apikey", "create", "alice", "--name", "x", "--expires", "0d"],
        ["apikey", "list", "nobody"],
        ["apikey", "revoke", "cs_nothing"],
        ["ask", "hello", "--user", "nobody"],
        ["ask", "hello"],
        ["ask", "   ", "--user", "alice"],
        ["ask", "hello", "--user", "alice", "--model", "nope"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_one_line_and_exit_code_1(
    manage: Terminal, alice: User, gpt_4o: ChatModel, arguments: list[str]
) -> None:
    code, out, err = manage(*arguments)
    assert code == 1, out
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("CommandError: ")
    assert "Traceback" not in out + err
    assert set(User.objects.values_list("username", flat=True)) == {"alice"}


@pytest.mark.parametrize("address", ["sqlite:////tmp/{id}/empty.sqlite3", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_that_is_missing_or_away_is_one_line_and_exit_code_1(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, DATABASE_URL=address.replace("/tmp/{id}", str(tmp_path)))
    reason = "run manage.py migrate" if address.startswith("sqlite") else "cannot be reached"
    # Each start costs a second, so one process runs them all.
    script = (
        "import sys\nfrom django.core.management import load_command_class\n"
        f"for name, *rest in {list(USES_DATABASE.values())!r}:\n"
        "    try:\n        load_command_class('chat', name).run_from_argv(['manage.py', name, *rest])\n"
        "        print(name, 'went well')\n"
        "    except SystemExit as end:\n        print(name, end.code)\n"
    )
    done = site.manage("shell", "-v", "0", "-c", script)
    assert done.stdout.split("\n")[:-1] == [f"{arguments[0]} 1" for arguments in USES_DATABASE.values()]
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == len(USES_DATABASE), done.stderr
    assert all(reason in line for line in lines), lines


def test_the_shell_sees_exit_code_1_and_no_traceback(tmp_path: Path) -> None:
    done = Site(tmp_path).manage("usage", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "CommandError: The database is not up to date: run manage.py migrate."
    assert "Traceback" not in done.stderr


def test_every_command_explains_itself(manage: Terminal) -> None:
    for name in COMMANDS:
        code, out, _err = manage(name, "--help")
        assert (code, len(out) > 200) == (0, True)


# Rows


def test_rows_come_as_a_table_as_json_and_as_csv() -> None:
    rows = [{"who": "=1+1", "n": 1234567, "ok": True}, {"who": "漢字\x1b[31m", "n": None, "ok": False}]
    shown = {}
    for form in ("table", "json", "csv"):
        out = io.StringIO()
        write_rows(out, form, rows, ("who", "n", "ok"))
        shown[form] = out.getvalue()
    assert shown["table"].splitlines() == [
        "who                n  ok",
        "=1+1       1,234,567  yes",
        "漢字\N{REPLACEMENT CHARACTER}[31m             no",
    ]
    assert json.loads(shown["json"]) == rows
    assert list(csv.reader(io.StringIO(shown["csv"])))[1:] == [
        ["'=1+1", "1234567", "True"],
        ["漢字\x1b[31m", "", "False"],
    ]


@pytest.mark.parametrize("begins", list("=+-@\t\r"))
def test_a_csv_cell_is_never_a_formula(begins: str) -> None:
    assert csv_cell(f"{begins}cmd") == f"'{begins}cmd"
    assert csv_cell(-5) == -5


# usage


def test_usage_adds_up_by_what_one_asks(manage: Terminal, alice: User) -> None:
    bob = User.objects.create_user("bob")
    book(alice)
    book(alice, model="other", cost=None, status="failed")
    book(bob, cost=1_500_000)
    code, out, _err = manage("usage", "--by", "user", "--format", "json", "--order=-requests")
    assert code == 0
    first, second = json.loads(out)
    assert (first["label"], first["requests"], first["cost"], first["failed"], first["unpriced"]) == (
        "alice",
        2,
        7,
        1,
        1,
    )
    assert (second["label"], second["tokens"], second["cost"]) == ("bob", 15, 1_500_000)
    _code, out, _err = manage("usage", "--by", "model", "--user", "alice", "--format", "csv")
    assert [row["label"] for row in csv.DictReader(io.StringIO(out))] == ["m", "other"]
    _code, out, _err = manage("usage")
    assert re.search(rf"^{site_day()} +3 +2 +45 +1\.5000", out, re.M)
    assert re.search(r"^total +3 +2 +45 +1\.5000", out, re.M)


def test_usage_of_nothing_says_so(manage: Terminal) -> None:
    assert manage("usage", "--since", "2020-01-01", "--until", "2020-02-01") == (0, "", "Nothing to show.\n")
    assert manage("usage", "--format", "json")[1] == "[]\n"


def test_usage_checks_and_rebuilds_the_roll_ups(manage: Terminal, alice: User) -> None:
    book(alice)
    assert manage("usage", "--check")[:2] == (0, "The roll-ups equal the ledger.\n")
    DailyUsage.objects.update(requests=4, cost=1)
    code, out, err = manage("usage", "--check")
    assert code == 1
    assert out.splitlines() == [
        f"{site_day()} user {alice.pk} m: requests 1 in the ledger, 4 rolled up",
        f"{site_day()} user {alice.pk} m: cost 7 in the ledger, 1 rolled up",
    ]
    assert err.startswith("CommandError: 2 differences.")
    assert manage("usage", "--rebuild")[0] == 0
    assert manage("usage", "--check")[0] == 0


# models


def test_models_are_listed_with_their_present_prices(manage: Terminal, gpt_4o: ChatModel) -> None:
    assert manage("models", "price", "gpt-4o", "--prompt", "0.15", "--completion", "0.6")[0] == 0
    assert manage("models", "price", "gpt-4o", "--prompt", "9", "--completion", "9", "--from", "2999-01-01")[0] == 0
    _code, out, _err = manage("models", "list", "--format", "json")
    (row,) = [row for row in json.loads(out) if row["name"] == "gpt-4o"]
    assert (row["prompt"], row["cached"], row["completion"], row["enabled"]) == (0.15, None, 0.6, False)


def test_a_price_begins_at_midnight_of_the_site(manage: Terminal, gpt_4o: ChatModel, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    manage("models", "price", "gpt-4o", "--prompt", "1", "--cached", "0", "--completion", "2", "--from", "2031-05-02")
    price = ModelPrice.objects.get(prompt=1_000_000)
    assert price.valid_from == dt.datetime(2031, 5, 1, 15, tzinfo=dt.UTC)
    assert (price.cached, price.completion) == (0, 2_000_000)
    manage("models", "price", "gpt-4o", "--prompt", "3", "--completion", "2", "--from", "2031-05-02")
    assert ModelPrice.objects.get(valid_from=price.valid_from).prompt == 3_000_000


def test_models_are_enabled_disabled_and_made_the_default(manage: Terminal, gpt_4o: ChatModel) -> None:
    ChatModel.objects.create(name="gpt-4.1", enabled=False)
    for name in ("gpt-4o", "gpt-4.1"):
        assert manage("models", "enable", name)[0] == 0
        assert manage("models", "default", name)[0] == 0
    assert manage("models", "disable", "gpt-4o")[0] == 0
    assert list(ChatModel.objects.filter(enabled=True).values_list("name", "is_default")) == [("gpt-4.1", True)]


def test_sync_adds_what_the_provider_offers_disabled(
    manage: Terminal, gpt_4o: ChatModel, fake_upstream: FakeUpstream
) -> None:
    for _ in range(2):
        code, out, _err = manage("models", "sync", "--format", "json")
        assert code == 0
    states = {row["name"]: row["state"] for row in json.loads(out)}
    assert states["fake"] == "known"
    assert states["gpt-4o"] == "not offered"
    assert not ChatModel.objects.get(name="fake").enabled
    _code, _out, err = manage("models", "list")
    assert "No price is known" not in err, "a disabled model needs no price"
    manage("models", "enable", "fake")
    assert "No price is known for fake: it counts as gpt-4o, the dearest." in manage("models", "list")[2]


def test_sync_says_in_one_line_that_the_provider_refused(manage: Terminal, fake_upstream: FakeUpstream) -> None:
    fake_upstream.always(error(401, code="invalid_api_key"))
    code, out, err = manage("models", "sync")
    assert (code, out) == (1, "")
    assert err.startswith("CommandError: The service is not set up correctly.")


# prune


def prune_counts(out: str) -> dict[str, int]:
    return {row["what"].split()[0]: row["count"] for row in json.loads(out)}


def test_prune_removes_what_is_past_keeping_and_nothing_else(manage: Terminal, alice: User) -> None:
    now = timezone.now()
    kept = {
        talk(alice).pk,
        talk(alice, days_ago=80).pk,
        talk(alice, deleted_at=now).pk,
        talk(alice, transient=True).pk,
        talk(alice, days_ago=400, status="streaming").pk,
    }
    talk(alice, deleted_at=now - dt.timedelta(days=2))
    talk(alice, days_ago=2, transient=True)
    talk(alice, days_ago=100)
    talk(alice, days_ago=101)
    old = now - dt.timedelta(hours=1)
    ServerProcess.objects.create(host="gone", pid=1, heartbeat_at=old)
    owner = ServerProcess.objects.create(host="gone", pid=2, heartbeat_at=old)
    Message.objects.filter(status="streaming").update(owner=owner)
    book(alice)

    expected = {"deleted": 1, "transient": 1, "old": 2, "rows": 1}
    for arguments in ([], ["--dry-run"]):
        code, out, err = manage("prune", "--older-than", "90d", "--format", "json", *arguments)
        assert (code, prune_counts(out)) == (0, expected)
        assert "Nothing was removed" in err
    assert Conversation.objects.count() == 9
    _code, out, _err = manage("prune", "--format", "json")
    assert "old" not in prune_counts(out)
    _code, out, _err = manage("prune", "--older-than", "90d", "--yes", "--format", "json")
    assert prune_counts(out) == expected
    assert set(Conversation.objects.values_list("pk", flat=True)) == kept
    assert list(ServerProcess.objects.all()) == [owner]
    assert UsageRecord.objects.count() == 1


def test_a_long_conversation_goes_in_short_steps(
    manage: Terminal, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 10)
    conversation = talk(alice, days_ago=100)
    for _ in range(40):
        conversation.head = Message.objects.create(conversation=conversation, parent=conversation.head, role="user")
    sizes = []
    real = Message.objects.none().__class__.delete

    def delete(queryset: Any) -> Any:
        sizes.append(queryset.count())
        return real(queryset)

    monkeypatch.setattr(Message.objects.none().__class__, "delete", delete)
    assert manage("prune", "--older-than", "90d", "--yes")[0] == 0
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()
    assert len(sizes) == 4
    assert max(sizes) == 10


def test_a_conversation_that_woke_up_is_not_removed(alice: User) -> None:
    conversation = talk(alice, days_ago=100)
    (rule,) = [rule for rule in retention.retention_rules(dt.timedelta(days=90)) if rule.name == "old"]
    (due,) = retention.due_conversations(rule.condition)
    Conversation.objects.filter(pk=due.pk).update(updated_at=timezone.now())
    assert not retention.remove_conversation(due.pk, rule.condition)
    conversation.messages.filter(role="assistant").update(status="pending")
    assert not retention.remove_conversation(due.pk)
    assert conversation.messages.count() == 2


# export


def test_export_hands_over_everything_and_no_secret(manage: Terminal, alice: User, tmp_path: Path) -> None:
    bob = User.objects.create_user("bob", email="bob@example.org")
    talk(bob, title="Bobs own")
    chat = talk(alice, title="Tea & <b>cake</b>\n# no heading")
    talk(alice, title="Gone", deleted_at=timezone.now())
    key, secret = api_keys.create(alice, "laptop")
    LimitOverride.objects.create(user=alice, rule="requests_per_day", value=3, reason="new here")
    book(alice)
    folder = tmp_path / "deep" / "alice"
    code, out, _err = manage("export", "alice", "--to", str(folder))
    assert code == 0
    assert "2 conversations" in out
    text = (folder / "export.json").read_text()
    data = json.loads(text)
    assert json.loads(manage("export", "alice")[1]) == data
    assert data["account"]["email"] == "alice@example.org"
    assert [each["title"] for each in data["conversations"]] == ["Tea & <b>cake</b>\n# no heading", "Gone"]
    assert [each["content"] for each in data["conversations"][0]["messages"]] == ["Why?", "Because."]
    assert data["api_keys"][0]["prefix"] == key.prefix
    assert data["limit_overrides"][0]["value"] == 3
    assert data["usage"][0]["cost"] == data["daily_usage"][0]["cost"] == 7
    for secret_thing in (secret, key.digest, alice.password, "bob", "Bobs own"):
        assert secret_thing not in text
    (document,) = folder.glob(f"conversations/*{chat.pk}.md")
    assert document.read_text().startswith("# Tea & <b>cake</b> # no heading\n\n## You")
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    code, _out, err = manage("export", "alice", "--to", str(folder))
    assert (code, err) == (1, f"CommandError: {folder} is not empty.\n")


# erase


def test_erase_says_what_would_go_and_with_yes_removes_it(manage: Terminal, alice: User) -> None:
    bob = User.objects.create_user("bob")
    client = Client()
    client.force_login(alice)
    for person in (alice, bob):
        talk(person)
        api_keys.create(person, "laptop")
        LimitOverride.objects.create(user=person, rule="requests_per_day", value=3, reason="new here")
        book(person)
    code, out, err = manage("erase", "alice")
    assert code == 0
    assert "1 conversations with 2 messages, 1 API keys and 1 limit overrides. 1 ledger rows" in out
    assert "Nothing was erased" in err
    assert client.get("/").status_code == 200

    code, out, _err = manage("erase", "alice", "--yes")
    assert (code, out) == (0, "Erased alice: the account is gone. The ledger keeps the amounts.\n")
    assert client.get("/").status_code == 302
    assert not Session.objects.exists()
    assert [user.username for user in User.objects.all()] == ["bob"]
    for model in (Conversation, ApiKey, LimitOverride):
        assert [row.user_id for row in model.objects.all()] == [bob.pk], model
    assert {(row.user_id, row.cost) for row in UsageRecord.objects.all()} == {(None, 7), (bob.pk, 7)}
    assert manage("usage", "--check")[0] == 0


def test_erase_leaves_a_shell_of_those_who_wrote_in_the_admin_log(manage: Terminal, alice: User) -> None:
    User.objects.create_superuser("root")
    alice.first_name, alice.is_staff = "Alice", True
    alice.save()
    book(alice)
    about_her = LogEntry.objects.create(
        user=User.objects.get(username="root"),
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(alice.pk),
        object_repr="alice",
        action_flag=CHANGE,
    )
    LogEntry.objects.create(user=alice, object_repr="a plan", action_flag=CHANGE)
    assert "empty shell" in manage("erase", "alice", "--yes")[1]
    shell = User.objects.get(pk=alice.pk)
    assert (shell.username, shell.email, shell.first_name) == (f"erased-{alice.pk}", "", "")
    assert not shell.is_active
    assert not shell.is_staff
    assert not shell.has_usable_password()
    assert LogEntry.objects.count() == 2
    about_her.refresh_from_db()
    assert "alice" not in about_her.object_repr
    assert UsageRecord.objects.get().user_id is None
    assert manage("usage", "--check")[0] == 0


def test_erase_waits_for_running_answers_and_keeps_the_last_superuser(
    manage: Terminal, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = User.objects.create_superuser("root")
    assert manage("erase", "root", "--yes")[2] == "CommandError: This is the last superuser. Make another one first.\n"
    assert root.is_active
    monkeypatch.setattr("chat.management.commands.erase.PATIENCE", 0.3)
    talk(alice, status="streaming")
    code, _out, err = manage("erase", "alice", "--yes")
    assert code == 1
    assert "still running" in err
    alice.refresh_from_db()
    assert not alice.is_active
    Message.objects.update(status="stopped")
    assert manage("erase", "alice", "--yes")[0] == 0


# invite and ask


def test_invite_makes_an_account_and_a_link_that_sets_the_password(manage: Terminal) -> None:
    code, out, _err = manage("invite", "bob", "--email", "b@example.org", "--staff", "--base-url", "http://testserver")
    assert code == 0
    bob = User.objects.get(username="bob")
    assert (bob.email, bob.is_staff, bob.has_usable_password()) == ("b@example.org", True, False)
    assert Client().get(out.strip(), follow=True).status_code == 200
    again = manage("invite", "bob")
    assert again[0] == 0
    User.objects.update(is_active=False)
    assert manage("invite", "bob")[2] == "CommandError: The account of bob is not active.\n"


def test_ask_streams_the_answer_and_is_booked(manage: Terminal, alice: User, fake_upstream: FakeUpstream) -> None:
    code, out, err = manage("ask", "one two three", "--user", "alice")
    assert (code, out) == (0, "one two three \n")
    assert "Traceback" not in err
    assert UsageRecord.objects.get().user_id == alice.pk
    fake_upstream.always(error(500))
    code, _out, err = manage("ask", "one", "--user", "alice")
    assert code == 1
    assert err.splitlines()[-1].startswith("CommandError: ")


# apikey


def test_a_key_is_shown_once_opens_the_door_and_can_be_revoked(manage: Terminal, alice: User) -> None:
    code, out, err = manage("apikey", "create", "alice", "--name", "laptop", "--expires", "90d")
    secret = out.strip()
    assert code == 0
    assert secret.startswith("cs_")
    assert "shown once" in err
    key = ApiKey.objects.get()
    assert secret not in (key.prefix, key.digest)
    assert len(key.digest) == 64
    assert api_keys.authenticate(secret) == key
    code, out, _err = manage("apikey", "list", "--format", "json")
    (row,) = json.loads(out)
    assert (row["prefix"], row["user"], row["name"]) == (key.prefix, "alice", "laptop")
    assert row["last_used"]
    assert secret not in out
    assert manage("apikey", "revoke", key.prefix)[:2] == (0, f"Revoked {key.prefix}.\n")
    assert api_keys.authenticate(secret) is None
    assert manage("apikey", "revoke", key.prefix)[0] == 1


def test_a_key_opens_nothing_when_it_is_wrong_expired_or_its_owner_left(alice: User) -> None:
    key, secret = api_keys.create(alice, "x", expires_at=timezone.now() + dt.timedelta(hours=1))
    assert api_keys.authenticate(secret) == key
    for wrong in ("", "cs_", secret[:-1], secret + "x", secret[:-1] + "é", "sk_" + secret[3:], secret.swapcase()):
        assert api_keys.authenticate(wrong) is None
    User.objects.update(is_active=False)
    assert api_keys.authenticate(secret) is None
    User.objects.update(is_active=True)
    ApiKey.objects.update(expires_at=timezone.now())
    assert api_keys.authenticate(secret) is None


def test_using_a_key_often_writes_seldom(alice: User, django_assert_num_queries: Any) -> None:
    _key, secret = api_keys.create(alice, "x")
    with django_assert_num_queries(2):
        api_keys.authenticate(secret)
    with django_assert_num_queries(1):
        api_keys.authenticate(secret)


# The other database


def test_the_commands_do_the_same_on_postgresql(postgres: str, tmp_path: Path, upstream: FakeUpstream) -> None:
    site = Site(tmp_path, DATABASE_URL=postgres, OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test")
    steps: list[list[str]] = [
        ["ask", "one two", "--user", "alice"],
        ["usage", "--check"],
        ["usage", "--rebuild"],
        ["usage", "--check"],
        ["usage", "--by", "group", "--format", "csv"],
        ["models", "sync"],
        ["prune", "--older-than", "1h", "--yes"],
        ["apikey", "create", "alice", "--name", "x"],
        ["export", "alice"],
        ["erase", "alice", "--yes"],
        ["usage", "--by", "user", "--format", "csv"],
        ["usage", "--check"],
    ]
    script = (
        "import datetime as dt\nfrom django.core.management import call_command\n"
        "from chat.models import *\nfrom chat.models import DailyUsage\n"
        f"for step in {steps!r}:\n"
        "    if step[0] == 'prune': Conversation.objects.update(updated_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))\n"
        "    call_command(*step)\n"
        "print(Conversation.objects.count(), UsageRecord.objects.get().user_id)\n"
    )
    said = site.shell(script).splitlines()
    assert said[0] == "one two "
    assert said.count("The roll-ups equal the ledger.") == 3
    assert any(line.startswith(",(no group),1,1,") for line in said)
    assert any(line.startswith(",(removed accounts),1,0,") for line in said)
    assert said[-1] == "0 None"
