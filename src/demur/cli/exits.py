"""What the exit code of a command tells: the one place where the codes are defined.

A script can branch on the code alone; the table is printed by `demur --help` and copied from there into docs/cli.md.
"""

from __future__ import annotations

from enum import IntEnum

from demur.core.terms import Outcome
from demur.errors import (
    ConditionError,
    ConfigurationError,
    DemurError,
    IntakeError,
    LedgerError,
    PolicyError,
    RulingError,
    StoreError,
)


class ExitCode(IntEnum):
    """Why a command ended. 1 is left to mistakes of the program itself."""

    OK = 0
    USAGE = 2
    INPUT = 3
    DENY = 10
    DEFER = 11
    UNAVAILABLE = 12
    POLICY = 13
    TESTS = 14
    LEDGER = 15
    RULING = 16


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "allowed, or done",
    ExitCode.USAGE: "the command was not understood, or a setting is wrong",
    ExitCode.INPUT: "the request is malformed, or the expression is wrong",
    ExitCode.DENY: "denied",
    ExitCode.DEFER: "deferred to a person",
    ExitCode.UNAVAILABLE: "no decision: the gate cannot decide or cannot record",
    ExitCode.POLICY: "the policies have problems",
    ExitCode.TESTS: "tests of policies failed",
    ExitCode.LEDGER: "the ledger was altered, or a record does not judge to the same outcome again",
    ExitCode.RULING: "the ruling on a review, or the use of a grant, was refused",
}

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>2}  {meaning}" for code, meaning in MEANINGS.items())

_OF_ERRORS: tuple[tuple[type[DemurError], ExitCode], ...] = (
    (PolicyError, ExitCode.POLICY),
    (IntakeError, ExitCode.INPUT),
    (ConditionError, ExitCode.INPUT),
    (LedgerError, ExitCode.LEDGER),
    (RulingError, ExitCode.RULING),
    (StoreError, ExitCode.UNAVAILABLE),
    (ConfigurationError, ExitCode.USAGE),
)


def of_outcome(outcome: Outcome) -> ExitCode:
    """The code of one answer."""
    match outcome:
        case Outcome.ALLOW:
            return ExitCode.OK
        case Outcome.DENY:
            return ExitCode.DENY
        case Outcome.DEFER:
            return ExitCode.DEFER
        case Outcome.UNAVAILABLE:
            return ExitCode.UNAVAILABLE


def of_error(error: DemurError) -> ExitCode:
    """The code of a question that could not be answered."""
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), ExitCode.USAGE)
