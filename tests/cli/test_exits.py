"""The exit codes that scripts rely on, and progress that nobody pipes into a file."""

from __future__ import annotations

import sys

import pytest

from demur import errors
from demur.cli import exits, terminal
from demur.cli.exits import ExitCode
from demur.core.terms import Outcome


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Outcome.ALLOW, 0), (Outcome.DENY, 10), (Outcome.DEFER, 11), (Outcome.UNAVAILABLE, 12)],
)
def test_each_outcome_has_its_code(outcome: Outcome, code: int) -> None:
    assert exits.of_outcome(outcome) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.IntakeError("/subject", expected="an object", found="nothing"), ExitCode.INPUT),
        (errors.ConditionError("expected a value"), ExitCode.INPUT),
        (errors.PolicyError([]), ExitCode.POLICY),
        (errors.LedgerError("record 1"), ExitCode.LEDGER),
        (errors.RulingError("no"), ExitCode.RULING),
        (errors.StoreError("disk"), ExitCode.UNAVAILABLE),
        (errors.OwnedElsewhereError("pid 7"), ExitCode.UNAVAILABLE),
        (errors.OverloadedError("full"), ExitCode.UNAVAILABLE),
        (errors.ConfigurationError("setting"), ExitCode.USAGE),
    ],
)
def test_each_error_has_its_code(error: errors.DemurError, code: ExitCode) -> None:
    assert exits.of_error(error) == code


def test_only_an_allow_and_what_is_done_end_in_zero() -> None:
    assert [code for code in ExitCode if code == 0] == [ExitCode.OK]
    assert 1 not in list(ExitCode)


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(terminal.watched(range(3), "counting", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_progress_shows_on_a_terminal_after_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(terminal, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("TERM", "xterm")

    assert list(terminal.watched(range(3), "counting", 3)) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err


def test_an_error_in_json_says_where_and_what_to_do() -> None:
    error = errors.IntakeError("/subject", expected="an object", found="nothing", hint="name the subject")

    assert terminal.error_document(error) == {
        "message": "at `/subject`: expected an object, found nothing",
        "hint": "name the subject",
        "pointer": "/subject",
        "expected": "an object",
        "found": "nothing",
    }
