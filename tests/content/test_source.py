"""A fact found in the request's own text: no text is absent, a text that cannot be judged is unknown (S2.1)."""

from __future__ import annotations

import pytest

from demur.adapters.sources import open_sources
from demur.content.source import ContentOpener
from demur.core.resolution import Learned
from demur.core.schema import Action, Detect, Fact, Kind, Schema, Source, Type
from demur.core.terms import Missing, Value
from demur.errors import ConfigurationError
from tests.adapters.facts import BOOL, NOW, STRING, request

TEXT = Source(name="text", kind="content", timeout_ms=20_000)
PATH = "action.contains_code"


def declared(detect: Detect | None, *, type_: Type = BOOL, optional: bool = True) -> Schema:
    fact = Fact(path=PATH, type=type_, source="text", optional=optional, detect=detect)
    answer = Action(name="refund", arguments=(Fact(path="action.text", type=STRING, optional=True),))
    plan = Fact(path="subject.plan", type=STRING, source="crm")
    return Schema(facts={PATH: fact, plan.path: plan}, sources={"text": TEXT}, actions={"refund": answer})


def learn(schema: Schema, **arguments: Value) -> Learned:
    sources = open_sources(schema, {"content": ContentOpener()})
    asked = request(**arguments)  # type: ignore[arg-type]  # subject and resource are never among them
    return sources.learn(asked, {"text": (PATH,)}, NOW)[PATH]


def test_code_in_the_text_is_true_and_prose_false() -> None:
    schema = declared(Detect("code", "action.text"))

    assert learn(schema, text="drop table users") == Learned(True, NOW)
    assert learn(schema, text="This is important.") == Learned(False, NOW)


def test_no_text_is_absent() -> None:
    assert learn(declared(Detect("code", "action.text"))) == Learned(Missing.ABSENT, NOW)


def test_no_text_is_unknown_where_the_fact_is_not_optional() -> None:
    assert learn(declared(Detect("code", "action.text"), optional=False)).state is Missing.UNKNOWN


@pytest.mark.parametrize("text", [5, True, None, ["drop table users"]])
def test_what_is_not_text_is_unknown(text: Value) -> None:
    assert learn(declared(Detect("code", "action.text")), text=text) == Learned(
        Missing.UNKNOWN, NOW, "the source does not know it"
    )


def test_a_text_that_cannot_be_judged_is_unknown() -> None:
    item = learn(declared(Detect("code", "action.text")), text="a" * 300_000)

    assert item.state is Missing.UNKNOWN
    assert item.why.startswith("the source failed: `TooLongError` in code.py")


def test_a_claim_does_not_stand_for_a_resolved_text() -> None:
    """`subject.plan` comes from another source; what the caller says about it is not looked at (S2.2)."""
    with pytest.raises(ConfigurationError, match=r"source `text`: `subject\.plan` is no part of the request"):
        open_sources(declared(Detect("code", "subject.plan")), {"content": ContentOpener()})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (declared(None), r"`action\.contains_code` of source `text`: expected one of code, found nothing"),
        (declared(Detect("poetry", "action.text")), "expected one of code, found `poetry`"),
        (declared(Detect("code", "action.text"), type_=Type(Kind.INT)), "expected the type bool, found int"),
    ],
)
def test_a_fact_that_cannot_be_found_does_not_open(schema: Schema, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_sources(schema, {"content": ContentOpener()})
