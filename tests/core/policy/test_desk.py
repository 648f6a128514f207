"""The key `desk`: read whole, part of the policy version, kept and checked again, fetched where people may be asked."""

from __future__ import annotations

import msgspec
import pytest

from demur.core.desk.plan import Desk, Hours, Mark, Measure, Rota, Scale, Shed, Shift, Timeouts, Window
from demur.core.desk.risk import Risk
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.document import Documents, Escalation, Panel
from demur.core.policy.index import PolicySet
from demur.core.policy.lint import lint
from demur.core.policy.load import load
from demur.core.policy.recheck import altered
from demur.core.terms import parse_timestamp
from demur.errors import PolicyError
from tests.core.policy.written import ZONES, source

TOP = """
demur: 1
namespace: bank
zone: Europe/Berlin
sources:
  crm: {kind: python}
facts:
  account.tier: {type: string, source: crm}
actions:
  transfer: {arguments: {amount: int, country: string}}
  read: {}
"""
DESK = """
desk:
  assign: automatic
  lease: 20m
  hours:
    open: [{days: [tue, mon], from: "09:00", to: "24:00"}, {from: "22:30", to: "06:00"}]
    holidays: [2026-12-26, 2026-12-25]
  rotas:
    night:
      zone: UTC
      shifts:
        - {people: [mara, zoë], turn_days: 7, since: "2026-01-05T09:00:00+01:00"}
        - {people: [otto], days: [sat], until: "2026-06-01T00:00:00Z"}
  risk:
    severity: {fact: action.amount, levels: [10, 20.5]}
    blast_radius:
      - {fact: account.tier, levels: {gold: 2}, otherwise: 1}
      - {level: 3, when: 'action.country != "DE"', actions: [transfer], explain: it is abroad}
  timeouts: {low: 4h, critical: 30m, most: 48h}
  shed: [{over: 900, up_to: medium}, {over: 500, up_to: low, again: 1h}]
  peak: {over: 200}
"""
RULES = """
rules:
  - id: transfer
    effect: review
    actions: [transfer]
    when: [{name: peak, expr: desk.is_peak || desk.open_reviews > 3, explain: much waits}]
    review:
      role: clerk
      group: payments
      language: pt-BR
      rota: night
      reversible: false
      within: 8h
      escalate: [{after: 1h, group: heads}, {after: 2h, role: director, rota: night}]
  - {id: read, effect: permit, actions: [read]}
"""
REVIEWED = """
actions: {transfer: {arguments: {amount: int}}}
rules:
  - {id: transfer, effect: review, actions: [transfer], review: {role: clerk, within: 4h, risk: high}}
"""


def loaded(text: str) -> Documents:
    return load([source(text)], ZONES.is_zone)


def test_a_desk_is_read_as_it_is_written() -> None:
    found = loaded(TOP + DESK + RULES).desk
    mark = found.risk.blast_radius.marks[0] if found.risk.blast_radius else None
    assert mark == Mark(
        level=3,
        expr='action.country != "DE"',
        node=mark.node if mark else None,  # type: ignore[arg-type]  # a missing mark fails the comparison
        actions=("transfer",),
        explanation="it is abroad",
    )
    assert msgspec.structs.replace(found, risk=Desk().risk) == Desk(
        is_declared=True,
        hours=Hours(
            "Europe/Berlin",
            (Window((0, 1), 540, 1440), Window((0, 1, 2, 3, 4, 5, 6), 1350, 360)),
            ("2026-12-25", "2026-12-26"),
        ),
        rotas={
            "night": Rota(
                "UTC",
                (
                    Shift(people=("mara", "zoë"), since=parse_timestamp("2026-01-05T08:00:00Z"), turn_days=7),
                    Shift(
                        people=("otto",), window=Window((5,), 0, 1440), until=parse_timestamp("2026-06-01T00:00:00Z")
                    ),
                ),
            )
        },
        timeouts=Timeouts(most=172_800, by_risk={Risk.LOW: 14_400, Risk.CRITICAL: 1_800}),
        shed=(Shed(500, Risk.LOW, 3_600), Shed(900, Risk.MEDIUM, 900)),
        peak=200,
        assign=found.assign,
        lease_seconds=1_200,
    )
    assert found.risk.severity == Measure((Scale(path="action.amount", thresholds=(10, 20.5)),))
    assert found.risk.novelty is None


def test_a_rule_names_whom_it_asks_and_who_comes_after() -> None:
    (rule,) = [rule for rule in loaded(TOP + DESK + RULES).rules if rule.panel]
    assert rule.panel == Panel(
        role="clerk",
        group="payments",
        language="pt-BR",
        rota="night",
        reversible=False,
        seconds=28_800,
        levels=(
            Escalation(after=3_600, role="clerk", group="heads"),
            Escalation(after=7_200, role="director", rota="night"),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("automatic", "taken"),
        ("20m", "21m"),
        ("09:00", "09:01"),
        ("[tue, mon]", "[mon]"),
        ("2026-12-26, ", ""),
        ("[mara, zoë]", "[mara]"),
        ("2026-01-05T09", "2026-01-05T10"),
        ("20.5", "20.6"),
        ('"DE"', '"AT"'),
        ("it is abroad", "it goes abroad"),
        ("critical: 30m", "critical: 31m"),
        ("over: 900", "over: 901"),
        ("over: 200", "over: 201"),
        ("group: heads", "group: chiefs"),
        ("reversible: false", "reversible: true"),
        ("after: 2h", "after: 3h"),
    ],
)
def test_whatever_changes_in_it_changes_the_policy_version(old: str, new: str) -> None:
    text = TOP + DESK + RULES
    assert old in text
    assert loaded(text.replace(old, new, 1)).digest != loaded(text).digest


def test_the_order_of_what_is_declared_makes_no_difference() -> None:
    text = TOP + DESK + RULES
    turned = text.replace("[2026-12-26, 2026-12-25]", "[2026-12-25, 2026-12-26]").replace("[tue, mon]", "[mon, tue]")
    assert loaded(turned).digest == loaded(text).digest


def test_a_set_without_a_desk_has_the_version_that_it_had_before_there_were_desks() -> None:
    text = TOP[: TOP.index("sources:")] + REVIEWED
    assert loaded(text).digest == "sha256:e0e74a0ace7e69e1f9dbe6f1bf1b20c6375c464cf1429f562931cf2059dd5606"
    assert loaded(text + "desk: {}\n").digest != loaded(text).digest


def test_one_document_declares_it() -> None:
    other = "demur: 1\nnamespace: bank\ndesk: {assign: taken}\n"
    with pytest.raises(PolicyError, match="expected one `desk` for the set"):
        load([source(TOP + DESK + RULES), source(other, "b.yaml")], ZONES.is_zone)


def test_it_is_kept_with_the_compiled_policies() -> None:
    far = DESK.replace('action.country != "DE"', 'timestamp("9000-01-01T00:00:00Z") > time.now')
    for text in (TOP + DESK + RULES, TOP + far + RULES):
        documents = loaded(text)
        assert decode_compiled(encode_compiled(documents)) == documents


def test_a_condition_of_the_desk_that_was_altered_is_found() -> None:
    documents = loaded(TOP + DESK + RULES)
    other = loaded(TOP + DESK.replace('!= "DE"', '== "DE"') + RULES)
    assert altered(documents, ZONES.is_zone) == ()
    blast = documents.desk.risk.blast_radius
    swapped = other.desk.risk.blast_radius
    assert blast is not None
    assert swapped is not None
    mark = msgspec.structs.replace(blast.marks[0], node=swapped.marks[0].node)
    risk = msgspec.structs.replace(documents.desk.risk, blast_radius=Measure(blast.scales, (mark,)))
    bent = msgspec.structs.replace(documents, desk=msgspec.structs.replace(documents.desk, risk=risk))
    assert altered(bent, ZONES.is_zone) == ("desk",)


def test_what_the_desk_reads_is_fetched_where_people_may_be_asked_and_nowhere_else() -> None:
    policies = PolicySet.build(loaded(TOP + DESK + RULES), ZONES)
    assert dict(policies.needs("transfer", "account")) == {
        "crm": ("account.tier",),
        "desk": ("desk.is_peak", "desk.open_reviews"),
    }
    assert dict(policies.needs("read", "account")) == {}


def test_a_fact_that_only_the_desk_reads_is_used() -> None:
    text = TOP + DESK + RULES
    assert [finding.message for finding in lint(loaded(text), [source(text)]) if "tier" in finding.message] == []
