"""Whatever is wrong with a command is one line and exit code 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.models import ChatModel, User
from tests.commands.terminal import Terminal
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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself(manage: Terminal, name: str) -> None:
    code, out, _err = manage(name, "--help")
    assert (code, len(out) > 200) == (0, True)
