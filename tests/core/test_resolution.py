"""Claims and resolved facts: which of them fill the row, and what stays unknown (S2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demur.core import intake, resolution
from demur.core.intake import Caller
from demur.core.resolution import Facts, Learned
from demur.core.terms import Missing, State

from .given_policies import NOW, decided, policies

if TYPE_CHECKING:
    from demur.core.policy.index import PolicySet

DESK = """
demur: 1
namespace: desk
sources: {people: {kind: python}}
facts:
  subject.role: string
  subject.nickname: {type: string, optional: true}
  subject.team.lead: {type: string, optional: true}
  subject.level: {type: int, source: people}
actions:
  open: {arguments: {door: string, note: {type: string, optional: true}}}
  look: {}
rules:
  - {id: any, effect: permit, actions: ["*"], when: [{name: always, expr: subject.level >= 0, explain: known}]}
"""


@pytest.fixture(scope="module")
def desk() -> PolicySet:
    return policies(DESK)


def resolved(
    desk: PolicySet, learned: dict[str, Learned] | None = None, action: str = "open", **properties: object
) -> Facts:
    arguments = {"door": "north"} if action == "open" else {}
    body = {
        "subject": {"type": "user", "id": "ann", "properties": properties},
        "action": {"name": action, "properties": arguments},
        "resource": {"type": "hall", "id": "h"},
    }
    request = intake.read(body, desk.schema, caller=Caller("desk-app"))
    return resolution.resolve(request, desk.schema, learned or {}, NOW)


def state(facts: Facts, desk: PolicySet, path: str) -> State:
    return facts.values[desk.slot(path)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subject.type", "user"),
        ("subject.id", "ann"),
        ("actor.id", "desk-app"),
        ("caller.id", "desk-app"),
        ("action.name", "open"),
        ("resource.type", "hall"),
        ("resource.id", "h"),
        ("session.id", Missing.ABSENT),
        ("model.name", Missing.ABSENT),
        ("time.now", NOW),
    ],
)
def test_what_every_request_has_is_in_the_row(desk: PolicySet, path: str, value: State) -> None:
    assert state(resolved(desk), desk, path) == value


def test_a_claim_left_out_is_unknown_and_an_optional_one_absent(desk: PolicySet) -> None:
    facts = resolved(desk)
    assert state(facts, desk, "subject.role") is Missing.UNKNOWN
    assert state(facts, desk, "subject.nickname") is Missing.ABSENT


def test_a_claim_never_replaces_a_resolved_fact(desk: PolicySet) -> None:
    assert state(resolved(desk, level=99), desk, "subject.level") is Missing.UNKNOWN
    known = {"subject.level": Learned(3, NOW)}
    assert state(resolved(desk, known, level=99), desk, "subject.level") == 3


def test_a_failed_source_leaves_its_fact_unknown_and_says_why(desk: PolicySet) -> None:
    facts = resolved(desk, {"subject.level": Learned(Missing.UNKNOWN, NOW, "timed out")}, level=99)
    assert state(facts, desk, "subject.level") is Missing.UNKNOWN
    origin = facts.provenance[desk.slot("subject.level")]
    assert (origin.source, origin.at, origin.why) == ("people", NOW, "timed out")


def test_a_nested_claim_is_found_and_typed(desk: PolicySet) -> None:
    assert state(resolved(desk, team={"lead": "bo"}), desk, "subject.team.lead") == "bo"
    assert state(resolved(desk, team={}), desk, "subject.team.lead") is Missing.ABSENT
    assert state(resolved(desk, team={"lead": 5}), desk, "subject.team.lead") is Missing.UNKNOWN


def test_an_argument_that_the_action_does_not_have_is_absent(desk: PolicySet) -> None:
    assert state(resolved(desk, action="look"), desk, "action.door") is Missing.ABSENT
    assert state(resolved(desk), desk, "action.door") == "north"
    assert state(resolved(desk), desk, "action.note") is Missing.ABSENT


def test_what_is_learned_about_an_undeclared_path_is_ignored(desk: PolicySet) -> None:
    assert resolved(desk, {"subject.shoe": Learned(44, NOW)}).values == resolved(desk).values


def test_learning_afresh_changes_only_what_was_learned(desk: PolicySet) -> None:
    before = resolved(desk, {"subject.level": Learned(1, NOW)}, role="x")
    after = resolution.with_learned(before, resolution.Layout.of(desk.schema), {"subject.level": Learned(2, NOW)})
    changed = [slot for slot, (old, new) in enumerate(zip(before.values, after.values, strict=True)) if old != new]
    assert changed == [desk.slot("subject.level")]


def test_an_argument_called_name_stands_beside_the_name_of_the_action() -> None:
    events = policies(
        """
demur: 1
namespace: events
actions: {create: {arguments: {name: {type: string, change: true}, size: int}}}
rules:
  - id: create
    effect: permit
    actions: [create]
    when: [{name: fits, expr: 'action.arguments.name != "" && action.name == "create"', explain: it has a name}]
    narrow: {name: {set: gathering}}
"""
    )
    body = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "create", "properties": {"name": "fair", "size": 3}},
        "resource": {"type": "hall", "id": "h"},
    }
    decision = decided(events, body)
    assert decision.outcome == "allow"
    assert [item.argument for item in decision.narrows] == ["name"]
