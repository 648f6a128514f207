"""A refused call hands its refusal to the agent as data, which it can act on; obligations of a grant are carried out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demur.agents import advice
from demur.agents.python import Permitted, guard
from demur.core.policy.document import Obligation
from demur.errors import ConfigurationError, RefusedError
from tests.flows.shop import Shop, open_shop

POLICY = """
demur: 1
namespace: shop
zone: UTC
sources:
  account: {kind: python}
  limits: {kind: static, table: {own: 100, inner: 7}}
facts:
  account.frozen: {type: bool, source: account, await: {event: thawed}}
  limits.own: {type: int, source: limits, unit: EUR, visible: {end_user: show}}
  limits.inner: {type: int, source: limits}
actions:
  refund: {arguments: {amount: {type: int, change: true}}}
  erase: {arguments: {item: string}}
  hide: {arguments: {item: string}}
  export: {}
rules:
  - {id: refund, effect: permit, actions: [refund]}
  - id: limit
    effect: forbid
    actions: [refund]
    when: [{name: large, expr: action.amount > limits.own && limits.inner > 0, explain: the amount is too large}]
    obligations:
      - {id: own, type: show_limit, properties: {fact: limits.own}}
      - {id: inner, type: show_limit, properties: {fact: limits.inner}}
  - id: never-erase
    effect: forbid
    actions: [erase]
    alternatives: [{action: hide}]
  - {id: hide, effect: permit, actions: [hide]}
  - id: export
    effect: permit
    actions: [export]
    obligations: [{id: mark, type: watermark, properties: {text: internal}}]
"""
WHO: dict[str, Any] = {"subject": {"type": "user", "id": "ann"}, "resource": {"type": "invoice", "id": "i-1"}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path, policy=POLICY)
    yield opened
    opened.gate.close()


def asked(name: str, **arguments: object) -> dict[str, Any]:
    return {**WHO, "action": {"name": name, "properties": arguments}}


def refused(shop: Shop, name: str, **arguments: object) -> Any:
    def tool(**given: object) -> None:
        raise AssertionError(given)

    return guard(shop.gate, name, **WHO, on_refusal="return")(tool)(**arguments)


def ends(shop: Shop) -> list[object]:
    leaves = [json.loads(record.leaf) for record in shop.parts.world.store.records()]
    return [leaf["status"] for leaf in leaves if leaf["type"] == "grant_completed"]


def test_a_refused_call_returns_what_the_agent_may_read(shop: Shop) -> None:
    told = refused(shop, "refund", amount=150)

    assert advice.is_refused(told)
    assert told["context"]["refusal"]["refusal_reason"]["policy_reference"] == "shop/limit"
    assert json.loads(json.dumps(told)) == told


def test_what_a_function_returns_is_no_refusal() -> None:
    assert not advice.is_refused("done")
    assert not advice.is_refused({"decision": False})
    assert not advice.is_refused({"decision": True, "context": {"refusal": {}}})


def test_an_offered_change_applied_literally_is_allowed(shop: Shop) -> None:
    request = asked("refund", amount=150)
    (offer, *_) = advice.offers(refused(shop, "refund", amount=150))
    changed = advice.apply(request, offer)

    assert changed["action"] == {"name": "refund", "properties": {"amount": 100}}
    assert shop.gate.decide(changed).outcome == offer["leads_to"] == "allow"
    assert request == asked("refund", amount=150)


def test_an_offered_action_is_allowed(shop: Shop) -> None:
    (offer,) = advice.alternatives(refused(shop, "erase", item="x"))
    changed = advice.apply(asked("erase", item="x"), offer)

    assert changed["action"] == {"name": "hide", "properties": {"item": "x"}}
    assert shop.gate.decide(changed).outcome == "allow"


@pytest.mark.parametrize(
    "offer",
    [
        {"kind": "await", "direction": {"time.now": "higher"}, "earliest": "2026-11-21T00:00:00Z"},
        {"kind": "change", "direction": {"action.amount": "lower"}},
        {"kind": "change", "set": {"action.a": 1}, "direction": {"action.a": "lower", "action.b": "other"}},
        {"kind": "change", "supply": ["context.note"], "direction": {"context.note": "other"}},
        {},
    ],
)
def test_an_offer_that_leaves_something_open_is_not_applied(offer: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected an offer that names every value"):
        advice.apply(asked("refund", amount=1), offer)


def test_claims_are_set_where_they_stand_in_a_request() -> None:
    offer = {
        "kind": "change",
        "set": {"context.ticket": "T-1", "subject.unit": "x", "action.arguments.name": "n"},
        "leave_out": ["action.note"],
        "direction": dict.fromkeys(("context.ticket", "subject.unit", "action.arguments.name", "action.note"), "other"),
    }
    changed = advice.apply(asked("send", note="n"), offer)

    assert changed["context"] == {"ticket": "T-1"}
    assert changed["subject"] == {**WHO["subject"], "properties": {"unit": "x"}}
    assert changed["action"] == {"name": "send", "properties": {"name": "n"}}


def limits(told: Any) -> dict[str, object]:
    return {item["id"]: item["limits"] for item in told["context"]["refusal"]["obligations"]}


def test_a_limit_is_shown_to_those_whom_its_fact_names(shop: Shop) -> None:
    answer = shop.gate.decide(asked("refund", amount=150))
    views = {who: limits(answer.to_dict(audience=who)) for who in type(next(iter(_audiences())))}
    own = [{"fact": "limits.own", "value": 100, "unit": "EUR"}]
    all_of_it = {"own": own, "inner": [{"fact": "limits.inner", "value": 7}]}

    assert views == {"end_user": {"own": own}, "agent": {}, "operator": all_of_it, "auditor": all_of_it}


def _audiences() -> Any:
    from demur.core.terms import Audience

    return list(Audience)


def test_an_obligation_is_carried_out_before_the_function_runs(shop: Shop) -> None:
    seen: list[object] = []

    def mark(obligation: Obligation, permitted: Permitted) -> None:
        seen.append((obligation.properties["text"], permitted.obligations[0].id))

    @guard(shop.gate, **WHO, carry_out={"watermark": mark})
    def export() -> None:
        seen.append("ran")

    @guard(shop.gate, **WHO, carry_out={"watermark": mark})
    async def export_later() -> None:
        seen.append("ran")

    export()
    asyncio.run(guard(shop.gate, "export", **WHO, carry_out={"watermark": mark})(export_later.__wrapped__)())  # type: ignore[attr-defined]

    assert seen == [("internal", "mark"), "ran", ("internal", "mark"), "ran"]
    assert ends(shop) == ["success", "success"]


def test_where_an_obligation_fails_the_function_does_not_run(shop: Shop) -> None:
    def mark(obligation: Obligation, permitted: Permitted) -> None:
        raise OSError

    def export() -> None:
        raise AssertionError

    async def export_later() -> None:
        raise AssertionError

    with pytest.raises(OSError, match=r"^$"):
        guard(shop.gate, **WHO, carry_out={"watermark": mark})(export)()
    with pytest.raises(OSError, match=r"^$"):
        asyncio.run(guard(shop.gate, "export", **WHO, carry_out={"watermark": mark})(export_later)())
    assert ends(shop) == ["failure", "failure"]


def test_an_obligation_that_nobody_carries_out_stops_the_call(shop: Shop) -> None:
    def export() -> None:
        raise AssertionError

    with pytest.raises(RefusedError, match="does not understand the obligations `watermark`"):
        guard(shop.gate, **WHO)(export)()


def test_a_coroutine_cannot_carry_out_an_obligation(shop: Shop) -> None:
    async def mark(obligation: Obligation, permitted: Permitted) -> None:
        """Never awaited, it would carry out nothing."""

    def export() -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="expected a plain function to carry out `watermark`"):
        guard(shop.gate, **WHO, carry_out={"watermark": mark})(export)()
