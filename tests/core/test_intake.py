"""Bytes to a request, or an error that says where, what was expected and what was found (S1.1, S1.2, S1.3)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import intake
from demur.core.intake import Caller
from demur.core.schema import Action, Fact, Kind, Schema, Type
from demur.core.terms import Entity, Request
from demur.errors import IntakeError


def argument(name: str, kind: Kind, **more: Any) -> Fact:
    return Fact(path=f"action.{name}", type=Type(kind), **more)


SCHEMA = Schema(
    actions={
        "pay": Action(
            name="pay",
            arguments=(
                argument("amount", Kind.INT),
                argument("rate", Kind.DOUBLE, optional=True),
                argument("at", Kind.TIMESTAMP, optional=True),
                argument("currency", Kind.STRING, optional=True, one_of=("EUR", "CHF")),
            ),
            resource_types=("invoice",),
        )
    },
    facts={
        "subject.age": Fact(path="subject.age", type=Type(Kind.INT)),
        "context.ticket": Fact(path="context.ticket", type=Type(Kind.STRING), optional=True, bound=True),
    },
)
LOCAL = Caller()


def body(**more: Any) -> dict[str, object]:
    return {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "pay", "properties": {"amount": 5}},
        "resource": {"type": "invoice", "id": "i-1"},
        **more,
    }


def pay(**properties: Any) -> dict[str, object]:
    return body(action={"name": "pay", "properties": properties})


def read(raw: Any) -> Request:
    return intake.read(raw, SCHEMA, caller=LOCAL)


def refusal_of(raw: Any) -> tuple[str, str, str]:
    with pytest.raises(IntakeError) as caught:
        read(raw)
    return caught.value.pointer, caught.value.expected, caught.value.found


def text(value: object) -> str:
    return json.dumps(value)


CASES = {
    "duplicate member": ('{"a":1,"b":{"x":1,"x":2}}', "/b/x", "two"),
    "duplicate in an ignored member": (text(body())[:-1] + ',"z":[{"k":1,"k":1}]}', "/z/0/k", "two"),
    "lone surrogate": (
        text(body(subject={"type": "u", "id": "\ud800"})),
        "/subject/id",
        "a string with a lone surrogate",
    ),
    "surrogate in a name": ('{"\\udc00":1}', "", "a string with a lone surrogate"),
    "not a number": ('{"a":[NaN]}', "/a/0", "`NaN`"),
    "minus infinity": ('{"a":-Infinity}', "/a", "`-Infinity`"),
    "double out of range": ('{"a":1e999}', "/a", "one beyond the range of doubles"),
    "int out of range": ('{"a":9007199254740992}', "/a", "an int beyond 2^53-1"),
    "huge int": ('{"a":' + "9" * 10_000 + "}", "/a", "an int beyond 2^53-1"),
    "deep nesting": ('{"a":' + "[" * 40 + "]" * 40 + "}", "", "more, at character 36"),
    "not JSON": ("{", "", "expecting property name enclosed in double quotes at line 1, column 2"),
    "not an object": ("[]", "", "a list"),
    "no subject": (text({"action": {}, "resource": {}}), "/subject", "nothing"),
    "no action": (
        text({"subject": {"type": "u", "id": "a"}, "resource": {"type": "r", "id": "1"}}),
        "/action",
        "nothing",
    ),
    "subject of the wrong kind": (text(body(subject="ann")), "/subject", "a string"),
    "empty id": (text(body(subject={"type": "user", "id": ""})), "/subject/id", "empty text"),
    "id that is a number": (text(body(subject={"type": "user", "id": 5})), "/subject/id", "an int"),
    "undeclared argument": (text(pay(amount=1, amnt=2)), "/action/properties/amnt", "`amnt`"),
    "missing argument": (text(pay()), "/action/properties/amount", "nothing"),
    "fraction for an int": (text(pay(amount=1.0)), "/action/properties/amount", "a double"),
    "bool for an int": (text(pay(amount=True)), "/action/properties/amount", "a bool"),
    "text for a time": (text(pay(amount=1, at="soon")), "/action/properties/at", "other text"),
    "not one of": (text(pay(amount=1, currency="USD")), "/action/properties/currency", "`USD`"),
    "resource of another type": (text(body(resource={"type": "ship", "id": "1"})), "/resource/type", "`ship`"),
    "claimed fact of the wrong type": (
        text(body(subject={"type": "user", "id": "ann", "properties": {"age": "old"}})),
        "/subject/properties/age",
        "a string",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_malformed_is_refused_with_its_place(case: str) -> None:
    raw, pointer, found = CASES[case]
    told = refusal_of(raw)
    assert (told[0], told[2]) == (pointer, found)


def test_more_than_256_kib_are_refused() -> None:
    assert refusal_of(text(body(note="x" * intake.MAX_BYTES)))[1] == "at most 262144 bytes"
    assert (
        refusal_of(
            pay(amount=1)
            | {"context": {}, "subject": {"type": "u", "id": "a", "properties": {"n": "x" * intake.MAX_BYTES}}}
        )[0]
        == ""
    )


def test_bytes_that_are_not_utf8_are_refused() -> None:
    assert refusal_of(b'{"a":"\xff"}')[2] == "an invalid byte at offset 6"


def test_a_misspelt_argument_gets_a_hint() -> None:
    with pytest.raises(IntakeError) as caught:
        read(pay(amount=1, curency="EUR"))
    assert caught.value.hint == "did you mean `currency`?"


def test_unknown_top_level_members_are_ignored_and_no_part_of_the_action() -> None:
    assert read(text(body(extra={"a": 1}))).digest == read(text(body())).digest


def test_one_and_one_point_zero_are_one_value_for_a_double() -> None:
    assert read(text(pay(amount=5, rate=1))).digest == read(text(pay(amount=5, rate=1.0))).digest


def test_the_order_of_members_does_not_change_the_digest() -> None:
    turned = dict(reversed(list(body().items())))
    assert read(text(turned)).digest == read(text(body())).digest


@pytest.mark.parametrize(
    "other",
    [
        pay(amount=6),
        body(subject={"type": "user", "id": "bob"}),
        body(actor={"type": "agent", "id": "x"}),
        body(resource={"type": "invoice", "id": "i-2"}),
        body(context={"ticket": "t"}),
    ],
)
def test_whatever_is_part_of_the_action_changes_the_digest(other: dict[str, object]) -> None:
    assert read(other).digest != read(body()).digest


def test_context_that_is_not_bound_does_not_change_the_digest() -> None:
    assert read(body(context={"ip": "10.0.0.1"})).digest == read(body()).digest


def test_a_traceparent_gives_its_trace_id() -> None:
    assert read(body(trace_id=f"00-{'a' * 32}-{'b' * 16}-01")).trace_id == "a" * 32


def test_an_actor_bound_to_the_credential_cannot_be_replaced() -> None:
    bound = Caller("svc", Entity(type="agent", id="teller"))
    assert intake.read(body(), SCHEMA, caller=bound).actor.id == "teller"
    with pytest.raises(IntakeError, match="/actor"):
        intake.read(body(actor={"type": "agent", "id": "admin"}), SCHEMA, caller=bound)


def test_a_request_cannot_be_changed_from_outside() -> None:
    arguments = {"amount": 5}
    request = read(body(action={"name": "pay", "properties": arguments}))
    arguments["amount"] = 6
    assert request.arguments == {"amount": 5}


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_only_an_intake_error_leaves(raw: bytes | str) -> None:
    with suppress(IntakeError):
        read(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("subject", "action", "resource", "context", "actor", "model", "request_id"), JSON)
)


@given(PARTS)
def test_any_structure_is_a_request_or_an_intake_error(raw: dict[str, object]) -> None:
    for form in (raw, json.dumps(raw)):
        with suppress(IntakeError):
            assert read(body() | raw if isinstance(form, dict) else form).digest
