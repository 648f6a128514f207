"""Attempts of ours are printed by nobody; those of the program that asks are, as it chose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from stamina import instrumentation

import demur
from demur.core.terms import Outcome
from demur.retrying import retry_context


class UnluckyError(Exception):
    pass


@pytest.fixture(autouse=True)
def _hooks_as_they_were() -> Iterator[None]:
    yield
    instrumentation.set_on_retry_hooks(None)


def attempts(block: stamina._core._RetryContextIterator) -> int:
    made = 0
    for attempt in block:
        with attempt:
            made += 1
            if made < 3:
                raise UnluckyError
    return made


def test_our_attempts_are_told_to_no_hook_and_others_to_all_of_them() -> None:
    told: list[str] = []
    instrumentation.set_on_retry_hooks([lambda details: told.append(details.name)])
    ours = retry_context(UnluckyError, attempts=3, timeout=None, wait_initial=0.001, wait_max=0.001)
    assert attempts(ours) == 3
    assert told == []
    theirs = stamina.retry_context(on=UnluckyError, attempts=3, timeout=None, wait_initial=0.001, wait_max=0.001)
    assert attempts(theirs) == 3
    assert len(told) == 2


def test_nothing_is_printed_where_a_service_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    with demur.connect("http://127.0.0.1:9", credential="x", timeout_seconds=5) as gate:
        answer = gate.decide(
            {
                "subject": {"type": "user", "id": "ann"},
                "action": {"name": "read"},
                "resource": {"type": "file", "id": "f"},
            }
        )
    assert answer.outcome is Outcome.UNAVAILABLE
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
