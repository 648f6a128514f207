"""What may be asked of the service that owns a home: a closed list, typed, and errors as they were."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import msgspec
import pytest

from demur import cli, errors
from demur.errors import ConfigurationError, DemurError, IntakeError, OwnedElsewhereError, RulingError, StoreError
from demur.gateway import Gateway
from demur.steps.enrolling import LOCAL, Enrolment
from demur.steps.people import People
from demur.wiring import local

TARGETS = {"gate": Gateway, "enrolment": Enrolment, "people": People}
EACH = [(target, name) for target, calls in local.CALLS.items() for name in calls]
OPENED = {"desk": "gate", "open_enrolment": "enrolment", "open_people": "people"}


@pytest.mark.parametrize(("target", "name"), EACH)
def test_each_takes_what_the_method_takes(target: str, name: str) -> None:
    found = inspect.signature(getattr(TARGETS[target], name)).parameters

    assert set(local.CALLS[target][name].takes) == set(found) - {"self", "by"}
    assert ("by" in found) == (target != "gate" and name != "listed")


def opened_calls() -> set[tuple[str, str]]:
    """What the command line calls on what it opens for writing."""
    calls = set()
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.With) or not isinstance(node.items[0].context_expr, ast.Call):
                continue
            function = node.items[0].context_expr.func
            opener = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            held = node.items[0].optional_vars
            if opener in OPENED and isinstance(held, ast.Name):
                used = (one for inner in node.body for one in ast.walk(inner) if isinstance(one, ast.Attribute))
                calls |= {(OPENED[opener], one.attr) for one in used if getattr(one.value, "id", "") == held.id}
    return calls


def test_whatever_the_command_line_writes_can_be_asked_for() -> None:
    calls = opened_calls()

    assert ("gate", "kill") in calls
    assert calls <= set(EACH)


def test_no_command_opens_a_desk_past_the_service() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in Path(cli.__file__).parent.glob("*.py")}

    assert [name for name, text in sources.items() if "open_desk" in text] == []


class Gate:
    """Notes what it was asked, and does what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[dict[str, object]] = []
        self.error = error

    def lift(self, **given: object) -> None:
        self.asked.append(given)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.asked.append({"closed": True})

    def remove_program(self, **given: object) -> None:
        self.asked.append(given)


GIVEN = {"key": "k", "credential": "c", "reason": "r"}


def test_a_call_arrives_as_it_was_made() -> None:
    gate = Gate()
    raw = local.perform({"gate": gate}, local.ask("gate", "lift", GIVEN))

    assert local.answer("gate", "lift", raw) is None
    assert gate.asked == [GIVEN]


def test_programs_are_managed_as_local_whoever_is_named() -> None:
    gate = Gate()
    local.perform({"enrolment": gate}, local.ask("enrolment", "remove_program", {"name": "shop"}))
    named = local.perform({"enrolment": gate}, local.ask("enrolment", "remove_program", {"name": "a", "by": "me"}))

    assert gate.asked == [{"name": "shop", "by": LOCAL}]
    with pytest.raises(ConfigurationError):
        local.answer("enrolment", "remove_program", named)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no MessagePack at all",
        local.ask("gate", "close", {}),
        local.ask("gate", "_world", {}),
        local.ask("world", "lift", GIVEN),
        local.ask("gate", "lift", {**GIVEN, "key": 1}),
        local.ask("gate", "lift", {**GIVEN, "more": "x"}),
        msgspec.msgpack.encode([local.VERSION + 1, "gate", "lift", GIVEN]),
        msgspec.msgpack.encode([local.VERSION, "gate", "lift", GIVEN, "more"]),
    ],
)
def test_what_is_not_listed_or_not_well_formed_is_not_done(raw: bytes) -> None:
    gate = Gate()
    answer = local.perform({"gate": gate}, raw)

    assert gate.asked == []
    with pytest.raises(ConfigurationError):
        local.answer("gate", "lift", answer)


@pytest.mark.parametrize(
    "error",
    [
        RulingError("expected one thing, found another", hint="do this"),
        IntakeError("/a/b", expected="one thing", found="another", hint="do that"),
        errors.RollbackError("records are gone"),
        errors.OverloadedError("full"),
        errors.AccessError("not yours"),
        ConfigurationError("a setting"),
    ],
)
def test_an_error_is_raised_as_it_was(error: DemurError) -> None:
    raw = local.perform({"gate": Gate(error)}, local.ask("gate", "lift", GIVEN))
    with pytest.raises(type(error)) as raised:
        local.answer("gate", "lift", raw)

    assert type(raised.value) is type(error)
    assert raised.value.diagnostics() == error.diagnostics()


def test_a_mistake_of_the_program_rises_where_it_was_made() -> None:
    """Whoever asked sees the connection end, and does not take that for an answer."""
    with pytest.raises(ZeroDivisionError):
        local.perform({"gate": Gate(ZeroDivisionError("a secret path"))}, local.ask("gate", "lift", GIVEN))


def test_an_error_that_is_not_listed_is_raised_as_what_it_is_one_of() -> None:
    raw = local.perform({"gate": Gate(OwnedElsewhereError("pid 7"))}, local.ask("gate", "lift", GIVEN))
    with pytest.raises(StoreError):
        local.answer("gate", "lift", raw)


@pytest.mark.parametrize("raw", [b"", b"nothing that can be read", msgspec.msgpack.encode([1, 2, 3])])
def test_an_answer_that_cannot_be_read_is_a_failure(raw: bytes) -> None:
    with pytest.raises(StoreError):
        local.answer("gate", "lift", raw)
