"""Bytes of policies that were kept: whatever was altered in them is found (S3.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from demur.core.cel.ir import Const
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.document import Condition
from demur.core.policy.recheck import altered
from demur.core.schema import Kind, Type
from demur.core.terms import Effect
from tests.core.policy.written import SHOP, ZONES, loaded

if TYPE_CHECKING:
    from demur.core.policy.document import Documents

RULES = """rules:
  - {id: a, effect: forbid, actions: [refund], when: [{name: n, expr: action.amount > 5, explain: x}]}
  - {id: b, effect: permit, actions: [refund], unless: [{any: [{name: m, expr: 'subject.role == "x"'}]}]}
"""


@pytest.fixture
def kept() -> Documents:
    return decode_compiled(encode_compiled(loaded(SHOP + RULES)))


def with_rule(documents: Documents, place: int, **changes: object) -> Documents:
    rules = list(documents.rules)
    rules[place] = msgspec.structs.replace(rules[place], **changes)
    return msgspec.structs.replace(documents, rules=tuple(rules))


def test_what_was_not_touched_is_as_it_was(kept: Documents) -> None:
    """S3.7."""
    assert altered(kept, ZONES.is_zone) == ()


def test_another_effect_is_found(kept: Documents) -> None:
    """S3.7."""
    assert altered(with_rule(kept, 0, effect=Effect.PERMIT), ZONES.is_zone) == ("digest", "shop/a")


def test_a_condition_that_no_longer_does_what_it_says_is_found(kept: Documents) -> None:
    """S3.7."""
    clause = kept.rules[0].when[0]
    assert isinstance(clause, Condition)
    never = msgspec.structs.replace(clause, node=Const(value=False, type=Type(Kind.BOOL)))
    assert altered(with_rule(kept, 0, when=(never,)), ZONES.is_zone) == ("shop/a",)


def test_a_condition_that_is_none_is_found(kept: Documents) -> None:
    clause = kept.rules[0].when[0]
    assert isinstance(clause, Condition)
    broken = msgspec.structs.replace(clause, expr="action.amount >")
    assert altered(with_rule(kept, 0, when=(broken,)), ZONES.is_zone) == ("digest", "shop/a")


def test_facts_that_changed_places_are_found(kept: Documents) -> None:
    slots = list(kept.schema.slots)
    slots[-1], slots[-2] = slots[-2], slots[-1]
    schema = msgspec.structs.replace(kept.schema, slots=tuple(slots))
    assert altered(msgspec.structs.replace(kept, schema=schema), ZONES.is_zone) == ("slots",)


def test_a_digest_of_another_set_is_found(kept: Documents) -> None:
    assert altered(msgspec.structs.replace(kept, digest="sha256:" + "0" * 64), ZONES.is_zone) == ("digest",)
