"""`manage.py ask`: an answer in the terminal."""

from __future__ import annotations

from chat.models import UsageRecord, User
from tests.commands.terminal import Terminal
from tests.fakes import FakeProvider, error


def test_it_prints_the_answer(manage: Terminal, alice: User, fake_provider: FakeProvider) -> None:
    code, out, err = manage("ask", "one two three", "--user", "alice")
    assert (code, out) == (0, "one two three \n")
    assert "Traceback" not in err


def test_the_answer_is_in_the_usage_ledger(manage: Terminal, alice: User, fake_provider: FakeProvider) -> None:
    manage("ask", "one two three", "--user", "alice")
    assert UsageRecord.objects.get().user_id == alice.pk


def test_a_failure_is_one_line_and_exit_code_1(manage: Terminal, alice: User, fake_provider: FakeProvider) -> None:
    fake_provider.always(error(500))
    code, _out, err = manage("ask", "one", "--user", "alice")
    assert code == 1
    assert err.splitlines()[-1].startswith("CommandError: ")
