"""Whether a refusal says that something could be different, and what it says where nothing was judged (S9.2, S10.2)."""

from __future__ import annotations

from typing import Any

import pytest

from demur.core import intake, refusal
from demur.core.intake import Caller
from demur.core.phrases import LOCALES
from demur.core.refusal import Reason, Refusal, refuse
from demur.core.remedy import Remedies
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import OtherAction, Part, Repair
from demur.core.terms import Audience, Bar, Category, Disposition, Outcome

from .given_policies import NOW, decided, policies

DESK = policies(
    """
demur: 1
namespace: desk
zone: UTC
sources: {files: {kind: python}}
facts:
  file.locked: {type: bool, source: files, await: {event: file released}}
  file.signed: {type: bool, source: files, obtain: {how: ask the owner, by: owner}}
  file.old: {type: bool, source: files}
  file.secret: {type: bool, source: files, confidential: true, obtain: {how: ask nobody, by: nobody}}
usage:
  opened: {actions: [quota], by: [subject.id], window: {calendar: day}}
actions:
  change: {arguments: {pages: {type: int, change: true}}}
  fixed: {arguments: {copies: {type: int, visible: {end_user: hide}}}}
  obtain: {}
  await: {}
  quota: {}
  time: {}
  nothing: {}
  mixed: {}
  final: {arguments: {pages: {type: int, change: true}}}
  hidden: {description: Open the hidden file}
rules:
  - {id: all, effect: permit, actions: ["*"]}
  - {id: c, effect: forbid, actions: [change], when: [{name: c, expr: action.pages > 3}]}
  - {id: x, effect: forbid, actions: [fixed], when: [{name: x, expr: action.copies > 3}]}
  - {id: o, effect: forbid, actions: [obtain], when: [{name: o, expr: "!file.signed"}]}
  - {id: a, effect: forbid, actions: [await], when: [{name: a, expr: file.locked}]}
  - {id: q, effect: forbid, actions: [quota], when: [{name: q, expr: usage.opened >= 0}]}
  - {id: t, effect: forbid, actions: [time], when: [{name: t, expr: time.now > timestamp("2020-01-01T00:00:00Z")}]}
  - {id: n, effect: forbid, actions: [nothing], when: [{name: n, expr: file.old}]}
  - {id: m, effect: forbid, actions: [mixed], when: [{name: m, expr: file.old}, {name: s, expr: "!file.signed"}]}
  - {id: f, effect: forbid, category: categorical, actions: [final], when: [{name: f, expr: action.pages > 3}]}
  - {id: g, effect: forbid, stands_for: f, actions: [final], when: [{name: g, expr: file.secret}]}
  - {id: h, effect: forbid, actions: [hidden], when: [{name: h, expr: file.secret}]}
"""
)
LEARNED: dict[str, Any] = {
    "file.locked": True,
    "file.signed": False,
    "file.old": True,
    "file.secret": True,
    "usage.opened": 0,
}


def body(action: str) -> dict[str, object]:
    arguments = {"change": {"pages": 9}, "final": {"pages": 9}, "fixed": {"copies": 9}}.get(action, {})
    return {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": action, "properties": arguments},
        "resource": {"type": "file", "id": "f-1"},
    }


def refused(action: str) -> Refusal:
    return refuse(decided(DESK, body(action), LEARNED))


def remediable(answer: Refusal, audience: Audience) -> object:
    told: Any = answer.to_dict(audience=audience)
    return told["context"]["refusal"]["remediation"]["remediable"]


@pytest.mark.parametrize(
    ("action", "is_remediable"),
    [
        ("change", True),
        ("fixed", False),
        ("obtain", True),
        ("await", True),
        ("quota", True),
        ("time", True),
        ("nothing", False),
        ("mixed", True),
        ("final", False),
    ],
)
@pytest.mark.parametrize("audience", list(Audience))
def test_what_can_come_to_be_different_is_remediable(action: str, audience: Audience, *, is_remediable: bool) -> None:
    assert remediable(refused(action), audience) is is_remediable


def test_that_something_confidential_could_be_different_is_for_those_who_run_demur() -> None:
    answer = refused("hidden")
    found = {audience: remediable(answer, audience) for audience in Audience}
    assert found == {
        Audience.END_USER: False,
        Audience.AGENT: False,
        Audience.OPERATOR: True,
        Audience.AUDITOR: True,
    }


@pytest.mark.parametrize(
    ("action", "disposition"),
    [("change", "modify"), ("fixed", "seek_authority"), ("obtain", "seek_authority"), ("nothing", "seek_authority")],
)
def test_only_what_the_requester_may_change_asks_for_a_change(action: str, disposition: str) -> None:
    assert refused(action).reason.disposition == disposition


REPAIR = Repair(
    parts=(Part(kind=Kind.CHANGE, path="action.pages", value=3),), leads_to=Outcome.ALLOW, cost=1.0, as_of=NOW
)
OTHER = OtherAction(action="fixed", leads_to=Outcome.ALLOW, as_of=NOW)


@pytest.mark.parametrize("is_withheld", [False, True])
def test_what_is_withheld_is_offered_to_those_who_run_demur_alone(*, is_withheld: bool) -> None:
    remedies = Remedies(modifications=(REPAIR,), alternatives=(OTHER,), as_of=NOW)
    answer = Refusal(
        reason=Reason(Category.POLICY_VIOLATION, Disposition.MODIFY),
        shown=Reason(Category.POLICY_VIOLATION, Disposition.MODIFY),
        as_of=NOW,
        remedies=remedies,
        is_withheld=is_withheld,
    )
    offered = {audience: answer.offered(audience) == remedies for audience in Audience}
    below = dict.fromkeys((Audience.END_USER, Audience.AGENT), not is_withheld)
    assert offered == below | {Audience.OPERATOR: True, Audience.AUDITOR: True}
    assert {audience: remediable(answer, audience) for audience in Audience} == offered


def barred(bar: Bar, action: str = "hidden") -> Refusal:
    request = intake.read(body(action) | {"request_id": "r-1"}, DESK.schema, caller=Caller())
    reason = Reason(Category.STATE_CONFLICT, Disposition.WAIT)
    return refusal.barred(bar, reason, request, DESK.schema, locale="de", policy_version="sha256:x", as_of=NOW)


@pytest.mark.parametrize("bar", list(Bar))
@pytest.mark.parametrize("audience", list(Audience))
def test_what_was_not_judged_is_told_in_every_language_with_a_next_step(bar: Bar, audience: Audience) -> None:
    answer = barred(bar)
    whole = {locale: answer.explain(audience=audience, locale=locale) for locale in LOCALES}
    assert len(set(whole.values())) == len(LOCALES)
    for locale, text in whole.items():
        assert "Open the hidden file" in answer.why(audience=audience, locale=locale)
        assert text.startswith(answer.why(audience=audience, locale=locale))
        assert text.endswith(answer.next_step(audience=audience, locale=locale))
    assert answer.explain(audience=audience, locale="nl") == whole["de"]


def test_a_stop_and_a_quarantine_are_told_apart() -> None:
    assert "stopped" in barred(Bar.STOPPED).explain(locale="en")
    assert "quarantine" in barred(Bar.QUARANTINED).explain(locale="en")


def test_an_action_without_a_description_is_called_by_its_name() -> None:
    assert "“change”" in barred(Bar.STOPPED, "change").explain(locale="en")
    assert refusal.wanted("never-declared", DESK.schema) == "never-declared"


def test_what_was_not_judged_says_what_was_asked_and_offers_nothing() -> None:
    told: Any = barred(Bar.QUARANTINED, "change").to_dict()
    context = told["context"]
    assert (context["request_id"], context["policy_version"]) == ("r-1", "sha256:x")
    assert context["refusal"]["refused_action"]["properties"] == {"pages": 9}
    assert context["refusal"]["remediation"]["remediable"] is False


def test_a_grant_that_nobody_can_name_says_its_own_words() -> None:
    reason = Reason(Category.STATE_CONFLICT, Disposition.WAIT)
    plain = Refusal(reason=reason, shown=reason, as_of=NOW, detail="own words", bar=Bar.STOPPED)
    assert plain.explain() == "own words"


@pytest.mark.parametrize(("audience", "shown"), [(Audience.END_USER, {}), (Audience.OPERATOR, {"copies": 9})])
def test_what_was_not_judged_shows_no_hidden_argument(audience: Audience, shown: dict[str, object]) -> None:
    told: Any = barred(Bar.STOPPED, "fixed").to_dict(audience=audience)
    assert told["context"]["refusal"]["refused_action"]["properties"] == shown
