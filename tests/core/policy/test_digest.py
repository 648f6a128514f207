"""The content address of a set: what makes a difference to it and what does not (S3.7)."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from demur.core.policy import digest
from demur.core.policy.load import load
from tests.core.policy.written import ZONES, loaded, source

if TYPE_CHECKING:
    from demur.core.policy.document import Documents

FACTS = """
demur: 1
namespace: shop
zone: UTC
sources: {s: {kind: static, table: {a: {frozen: true}}, key: subject.id}}
facts:
  subject.role: string
  account.frozen: {type: bool, source: s, personal: true}
usage: {today: {actions: [refund, ship], by: [subject.id], window: {calendar: day}}}
actions:
  refund: {arguments: {amount: int}}
  ship: {}
"""
RULES = """
demur: 1
namespace: shop
rules:
  - id: a
    effect: permit
    actions: [refund, ship]
    when:
      - {name: x, expr: subject.role == "clerk", explain: a clerk}
      - {name: y, expr: usage.today < 5, explain: few}
    tags: [p, q]
  - {id: b, effect: forbid, actions: [refund], when: [{name: z, expr: account.frozen, explain: frozen}]}
"""
SAME = """
# A comment, other quotes, other order, another layout.
rules:
  - {when: [{explain: frozen, expr: "account.frozen", name: z}], id: b, actions: ["refund"], effect: forbid}
  - actions: [ship, 'refund']
    tags: [q, p]
    id: a
    unless: []
    when:
      - name: y
        explain: few
        expr: >-
          usage.today < 5
      - {name: x, explain: a clerk, expr: 'subject.role == "clerk"'}
    effect: permit
    resources: ["*"]
namespace: shop
demur: 1
"""


def test_a_digest_names_its_algorithm() -> None:
    """S3.7."""
    name, _, hexadecimal = loaded(FACTS, RULES).digest.partition(":")
    assert (name, len(hexadecimal)) == ("sha256", 64)
    int(hexadecimal, 16)


@pytest.mark.parametrize(
    "texts", [(RULES, FACTS), (FACTS, SAME), (SAME, FACTS), (FACTS + "description: words\n", RULES)]
)
def test_files_order_layout_and_comments_make_no_difference(texts: tuple[str, str]) -> None:
    """S3.7."""
    assert loaded(*texts).digest == loaded(FACTS, RULES).digest


def test_the_names_of_files_make_no_difference() -> None:
    """S3.7."""
    moved = load([source(FACTS, "x/y.yaml"), source(RULES, "z.yaml")], ZONES.is_zone)
    assert moved.digest == loaded(FACTS, RULES).digest
    assert moved.rules[0].digest == loaded(FACTS, RULES).rules[0].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("usage.today < 5", "usage.today < 6"),
        ("explain: few", "explain: not many"),
        ("name: y", "name: w"),
        ("effect: forbid", "effect: permit"),
        ("tags: [p, q]", "tags: [p]"),
        ("actions: [refund, ship]\n    when", "actions: [refund]\n    when"),
        ("id: b", "id: c"),
        ("when: [{name: z", "unless: [{name: z"),
        ("actions: [refund], when", "actions: [refund], resources: [invoice], when"),
        ("actions: [refund], when", "actions: [refund], category: temporal, when"),
        ("actions: [refund], when", "actions: [refund], messages: {end_user: {en: no}}, when"),
        ("actions: [refund], when", "actions: [refund], obligations: [{id: o, type: log}], when"),
        ("zone: UTC", "zone: Asia/Tokyo"),
        ("subject.role: string", "subject.role: {type: string, personal: true}"),
        ("subject.role: string", "subject.role: {type: string, optional: false, unit: x}"),
        ("{frozen: true}", "{frozen: false}"),
        ("amount: int", "amount: double"),
        ("by: [subject.id]", "by: [caller.id]"),
        ("calendar: day", "calendar: week"),
        ("zone: UTC", "zone: UTC\nlocale: de"),
        ("zone: UTC", "zone: UTC\nowns: ['r*', 's*']"),
    ],
)
def test_whatever_can_change_an_answer_or_its_words_changes_the_digest(old: str, new: str) -> None:
    """S3.7."""
    before, after = (FACTS, RULES), (FACTS.replace(old, new, 1), RULES.replace(old, new, 1))
    assert before != after
    assert loaded(*after).digest != loaded(*before).digest


def test_a_rule_has_a_digest_of_its_own_that_other_rules_do_not_touch() -> None:
    """S7.1."""
    before = {rule.id: rule.digest for rule in loaded(FACTS, RULES).rules}
    after = {rule.id: rule.digest for rule in loaded(FACTS, RULES.replace("usage.today < 5", "usage.today < 6")).rules}
    assert before["shop/b"] == after["shop/b"]
    assert before["shop/a"] != after["shop/a"]


def test_the_digest_can_be_taken_again_from_what_was_loaded() -> None:
    """S3.7."""
    documents: Documents = loaded(FACTS, RULES)
    assert digest.of_set(documents) == documents.digest


def test_any_order_of_rules_gives_one_digest() -> None:
    """S3.3, S3.7."""
    rules = [f"  - {{id: r{number}, effect: permit, actions: [a{number}]}}" for number in range(4)]
    texts = ["demur: 1\nnamespace: a\nrules:\n" + "\n".join(order) for order in permutations(rules)]
    digests = {loaded(text).digest for text in texts}
    assert len(digests) == 1


def test_what_may_not_hold_is_part_of_a_rule() -> None:
    """S3.7."""
    rule = "{demur: 1, namespace: a, rules: [{id: r, effect: permit, actions: [x], unless: [{name: n, expr: %s}]}]}"
    assert loaded(rule % 'action.name == "x"').digest != loaded(rule % 'action.name == "y"').digest


def test_the_zone_is_part_of_the_set_even_where_nothing_reads_it_yet() -> None:
    """S2.4, S3.7."""
    assert (
        loaded("{demur: 1, namespace: a, zone: UTC}").digest
        != loaded("{demur: 1, namespace: a, zone: Asia/Tokyo}").digest
    )
