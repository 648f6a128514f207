"""The shipped conditions, expanded and judged: each holds exactly when what its name says is the case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demur.core import cel
from demur.core.policy.document import Condition
from demur.core.policy.library import PARAMETERS, Shipped
from demur.core.schema import BUILT_IN
from demur.core.terms import Missing, State, parse_timestamp
from tests.core.policy.written import SHOP, ZONES, loaded

if TYPE_CHECKING:
    from demur.core.policy.document import Documents


def shop(use: str, parameters: str, actions: str = "[refund]") -> tuple[Documents, Condition]:
    rule = f"rules: [{{id: r, effect: forbid, actions: {actions}, when: [{{use: {use}, with: {parameters}}}]}}]\n"
    documents = loaded(SHOP + rule)
    clause = documents.rules[0].when[0]
    assert isinstance(clause, Condition)
    return documents, clause


def holds(found: tuple[Documents, Condition], **facts: State) -> object:
    """The truth of the condition; `subject__role` stands for `subject.role`, other facts are absent."""
    documents, condition = found
    given = {path.replace("__", "."): state for path, state in facts.items()}
    row = [given.get(slot.path, Missing.ABSENT) for slot in documents.schema.slots]
    return cel.link(condition.node, ZONES)(row)


@pytest.mark.parametrize(
    ("role", "is_insufficient"),
    [("clerk", False), ("nurse", False), ("administrator", False), ("guest", True), ("", True)],
)
def test_a_role_is_insufficient_unless_it_is_required_or_an_administrators(role: str, *, is_insufficient: bool) -> None:
    found = shop("insufficient-role", "{required: [clerk, nurse]}")
    assert holds(found, subject__role=role) is is_insufficient


def test_the_explanation_names_the_role_required() -> None:
    assert shop("insufficient-role", "{required: clerk}")[1].explanation == "the role `clerk` is required"
    several = shop("insufficient-role", "{required: [clerk, nurse]}")[1].explanation
    assert several == "one of the roles `clerk`, `nurse` is required"


def test_other_administrators_can_be_named() -> None:
    found = shop("insufficient-role", "{required: clerk, administrators: [root]}")
    assert holds(found, subject__role="root") is False
    assert holds(found, subject__role="administrator") is True


def test_one_of_several_roles_suffices() -> None:
    found = shop("insufficient-role", "{required: clerk, role: subject.roles}")
    assert holds(found, subject__roles=["guest", "clerk"]) is False
    assert holds(found, subject__roles=[]) is True


def test_an_unknown_role_is_unknown() -> None:
    """S2.1."""
    found = shop("insufficient-role", "{required: clerk}")
    assert holds(found, subject__role=Missing.UNKNOWN) == cel.Unknown(("subject.role",))


def test_an_action_is_compared_with_a_list_in_the_rule_or_in_a_fact() -> None:
    found = shop("action-not-on-allow-list", "{allowed: [refund]}", '["*"]')
    assert holds(found, action__name="refund") is False
    assert holds(found, action__name="ship") is True
    assert found[1].explanation == "the action is none of `refund`"
    dynamic = shop("action-not-on-allow-list", "{allowed: subject.actions}", '["*"]')
    assert holds(dynamic, action__name="ship", subject__actions=["ship"]) is False
    assert holds(dynamic, action__name="ship") is True, "no list allows nothing"


@pytest.mark.parametrize(("count", "is_exceeded"), [(0, False), (99, False), (100, True), (101, True)])
def test_a_quota_of_a_hundred_is_exceeded_by_the_hundred_and_first(count: int, *, is_exceeded: bool) -> None:
    """S4.1."""
    found = shop("daily-quota-exceeded", "{usage: refunds_today, limit: 100}")
    assert holds(found, usage__refunds_today=count) is is_exceeded


@pytest.mark.parametrize(("amount", "is_exceeded"), [(1, False), (40, False), (41, True)])
def test_a_quota_of_a_sum_counts_the_amount_asked_for(amount: int, *, is_exceeded: bool) -> None:
    """S4.1."""
    found = shop("daily-quota-exceeded", "{usage: usage.refunded_today, limit: 100}")
    assert holds(found, usage__refunded_today=60, action__amount=amount) is is_exceeded


@pytest.mark.parametrize(
    ("now", "is_outside"),
    [
        ("2026-11-20T07:29:59Z", True),  # Friday, 08:29:59 in Berlin
        ("2026-11-20T07:30:00Z", False),
        ("2026-11-20T16:59:59Z", False),
        ("2026-11-20T17:00:00Z", True),
        ("2026-11-21T10:00:00Z", True),  # Saturday
        ("2026-07-17T06:30:00Z", False),  # Friday in summer: two hours east of UTC
        ("2026-07-17T16:00:00Z", True),
    ],
)
def test_hours_are_those_of_the_zone(now: str, *, is_outside: bool) -> None:
    """S2.4."""
    found = shop("outside-hours", '{from: "08:30", to: "18:00", days: [mon, tue, wed, thu, fri]}')
    assert holds(found, time__now=parse_timestamp(now)) is is_outside


@pytest.mark.parametrize(
    ("now", "is_outside"),
    [
        ("2026-11-20T21:59:00Z", True),
        ("2026-11-20T22:00:00Z", False),  # Friday evening
        ("2026-11-21T05:59:00Z", False),  # Saturday morning belongs to Friday's night
        ("2026-11-21T06:00:00Z", True),
        ("2026-11-21T23:00:00Z", True),  # Saturday evening is not chosen
        ("2026-11-22T05:00:00Z", True),  # nor is the morning after it
    ],
)
def test_hours_across_midnight_belong_to_the_day_on_which_they_begin(now: str, *, is_outside: bool) -> None:
    found = shop("outside-hours", '{from: "22:00", to: "06:00", days: [fri], zone: UTC}')
    assert holds(found, time__now=parse_timestamp(now)) is is_outside


def test_a_day_may_end_at_midnight() -> None:
    found = shop("outside-hours", '{from: "08:00", to: "24:00", zone: UTC}')
    assert holds(found, time__now=parse_timestamp("2026-11-20T23:59:59Z")) is False
    assert holds(found, time__now=parse_timestamp("2026-11-20T00:00:00Z")) is True


def test_code_in_a_text_is_found_by_a_content_source_that_is_declared_for_it() -> None:
    documents, condition = shop("contains-code", "{in: action.country}", "[ship]")
    assert condition.expr == "content.code.action.country"
    assert condition.explanation == "the argument `country` contains program code"
    fact = documents.schema.facts["content.code.action.country"]
    assert (fact.source, str(fact.type)) == ("content", "bool")
    assert documents.schema.sources["content"].settings == {
        "detect": {"content.code.action.country": {"what": "code", "in": "action.country"}}
    }


def test_a_text_that_is_left_out_contains_no_code() -> None:
    found = shop("contains-code", "{in: action.note}")
    assert holds(found, content__code__action__note=True) is False
    assert holds(found, content__code__action__note=True, action__note="x") is True


def test_a_declared_finding_is_used_as_it_is() -> None:
    documents = loaded("""
        demur: 1
        namespace: shop
        sources: {text: {kind: content}}
        facts: {action.contains_code: {type: bool, source: text, detect: {what: code, in: action.text}}}
        actions: {answer: {arguments: {text: string}}}
        rules:
          - {id: r, effect: forbid, actions: [answer], when: [{use: contains-code, with: {in: action.contains_code}}]}
        """)
    clause = documents.rules[0].when[0]
    assert isinstance(clause, Condition)
    assert (clause.expr, clause.explanation) == ("action.contains_code", "the argument `text` contains program code")
    assert sorted(documents.schema.sources) == ["text"]
    assert len(documents.schema.slots) == len(BUILT_IN) + 2


def test_a_use_may_have_a_name_and_an_explanation_of_its_own() -> None:
    rule = "rules: [{id: r, effect: forbid, actions: [refund], when: [%s]}]"
    use = "{use: insufficient-role, with: {required: clerk}, name: only-clerks, explain: only clerks may}"
    clause = loaded(SHOP + rule % use).rules[0].when[0]
    assert isinstance(clause, Condition)
    assert (clause.name, clause.explanation) == ("only-clerks", "only clerks may")


def test_a_role_that_breaks_out_of_its_quotes_stays_a_text() -> None:
    found = shop("insufficient-role", """{required: 'x"] || true || "" in ["'}""")
    assert holds(found, subject__role="guest") is True


def test_every_shipped_condition_lists_its_parameters() -> None:
    assert set(PARAMETERS) == set(Shipped)
    assert all(set(needs) <= set(known) for needs, known in PARAMETERS.values())
