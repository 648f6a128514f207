"""The errors of Demur: raised when a question could not be answered, never for a "no".

    DemurError
    +-- IntakeError             the request is malformed; says where, what was expected and what was found
    +-- ConditionError          a condition is outside the language, ill-typed or too costly
    +-- PolicyError             a set of policies did not load; carries every problem found
    +-- StoreError              the store could not read or write; nothing was released
    |   +-- OwnedElsewhereError another process owns the embedded store
    |   +-- OverloadedError     the queue of the store is full or its deadline passed
    +-- LedgerError             the ledger contradicts itself
    |   +-- RollbackError       the store lacks records that were signed, or has others in their place
    |   +-- ForgottenError      what was sealed cannot be opened any more: its key or its values are gone
    +-- AnchorError             nobody outside could take or tell a checkpoint; answers go on
    +-- AnswerError             what came back from a service is no answer; nothing may be done on it
    +-- AccessError             whoever asks may not do this, or not here
    +-- RulingError             a ruling on a review was refused (credential, deadline, conflict of interest)
    +-- ConfigurationError      a setting is wrong or missing
    +-- RefusedError            raised only by the tool wrappers, which must stop the call; carries the answer

Messages are lower case without a final stop and say what was expected and what was found; `hint` says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccessError",
    "AnchorError",
    "AnswerError",
    "ConditionError",
    "ConfigurationError",
    "DemurError",
    "ForgottenError",
    "IntakeError",
    "LedgerError",
    "OverloadedError",
    "OwnedElsewhereError",
    "PolicyError",
    "Problem",
    "RefusedError",
    "RollbackError",
    "RulingError",
    "StoreError",
]


class DemurError(Exception):
    """Base of all errors of Demur; `hint` tells what to do, and is empty where nothing can be done."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def diagnostics(self) -> str:
        """The message followed by the hint, for people."""
        return f"{self}\n  hint: {self.hint}" if self.hint else str(self)


class IntakeError(DemurError):
    """The request is malformed. `pointer` is the JSON pointer (RFC 6901) of the offending value."""

    def __init__(self, pointer: str, *, expected: str, found: str, hint: str = "") -> None:
        super().__init__(f"at `{pointer or '/'}`: expected {expected}, found {found}", hint=hint)
        self.pointer = pointer
        self.expected = expected
        self.found = found


class ConditionError(DemurError):
    """A condition was refused. `line` and `column` count from 1 within the condition's own text."""

    def __init__(
        self, message: str, *, line: int = 1, column: int = 1, expected: str = "", found: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a policy document; `line` and `column` count from 1, 0 where the place is not known."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    code: str = "invalid"
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return f"{place}{self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")


class PolicyError(DemurError):
    """A set of policies did not load. `problems` holds every finding, in document order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems) or "the policies did not load")
        self.problems = tuple(problems)


class StoreError(DemurError):
    """The store could not read or write."""


class OwnedElsewhereError(StoreError):
    """Another process owns the embedded store; the message names its pid."""


class OverloadedError(StoreError):
    """The store's queue is full, or the deadline passed before the work was done."""


class LedgerError(DemurError):
    """The ledger contradicts itself; the message names the record and the contradiction."""


class RollbackError(LedgerError):
    """The store lacks records that were signed before, or has others in their place: nothing may be appended to it."""


class AnchorError(DemurError):
    """Somebody outside who holds checkpoints could not be reached, or answered something useless."""


class AnswerError(DemurError):
    """What came back from a service is no answer: malformed, or at odds with itself."""


class ForgottenError(LedgerError):
    """What was sealed cannot be opened any more: its key was destroyed, or its values were (S5.5)."""


class AccessError(DemurError):
    """Whoever asks may not do this, or not in this tenant."""


class RulingError(DemurError):
    """A ruling on a review was refused."""


class ConfigurationError(DemurError):
    """A setting is wrong or missing."""


class RefusedError(DemurError):
    """A wrapped tool was not executed. `answer` is the refusal or deferral that says why."""

    def __init__(self, message: str, answer: object) -> None:
        super().__init__(message)
        self.answer = answer
