"""The desk by itself: reviews open with risk, deadline and estimate, are assigned, escalate, and are turned away."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.adapters.clock import ManualClock
from demur.core.terms import Audience, parse_timestamp
from demur.errors import RulingError
from demur.evaluation.replay import Status, replay
from demur.wiring import Parts, Settings, open_gate, open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = 60
FRIDAY = parse_timestamp("2026-11-20T09:00:00Z")
DESK = """
desk:
  assign: automatic
  lease: 10m
  hours:
    open: [{days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}]
    holidays: [2026-11-23]
  rotas:
    day: {shifts: [{people: [mara]}]}
    empty: {shifts: [{people: [nobody], until: 2020-01-01T00:00:00Z}]}
  risk:
    severity: {fact: action.amount, levels: [100, 1000, 10000]}
    blast_radius:
      - {level: 2, when: 'has(action.recipients) && action.recipients > 5', actions: [send], explain: it reaches many}
  timeouts: {low: 4h, medium: 2h, high: 1h, critical: 30m, least: 1m}
  shed: {over: 3, up_to: low, again: 5m}
  peak: {over: 2}
"""
POLICY = """
demur: 1
namespace: desk
zone: Europe/Berlin
facts:
  subject.role: string
actions:
  pay: {arguments: {amount: {type: int, change: true}}}
  send: {arguments: {recipients: int}}
  note: {}
  file: {}
rules:
  - id: pay
    effect: review
    actions: [pay]
    review:
      role: clerk
      risk: low
      within: 24h
      rota: day
      escalate: [{after: 1h, role: head}, {after: 2h, role: board, group: council}]
  - id: send
    effect: review
    actions: [send]
    review: {role: clerk, within: 2h, group: north, language: de, rota: empty, reversible: false}
  - id: note
    effect: permit
    actions: [note]
  - id: note-at-peak
    effect: review
    actions: [note]
    when: [{name: peak, expr: desk.is_peak, explain: too many reviews wait}]
    review: {role: clerk, within: 1h}
  - id: file
    effect: permit
    actions: [file]
"""


@dataclass
class Office:
    """An open gate with a desk, its clock and everybody's credentials."""

    parts: Parts
    clock: ManualClock
    settings: Settings
    keys: dict[str, str]

    @property
    def gate(self) -> Any:
        return self.parts.gate

    def reopen(self) -> None:
        """Close the gate and open another one over the same home."""
        self.gate.close()
        self.parts = open_gate(self.settings)


PEOPLE: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "mara": (("clerk",), (), ()),
    "otto": (("clerk",), ("north",), ()),
    "ines": (("clerk", "head"), ("north",), ("de",)),
    "vera": (("board",), ("council",), ()),
    "wim": (("board",), (), ()),
}


def open_office(folder: Path, *, home: Path | None = None, desk: str = DESK, store: str = "", keys: str = "") -> Office:
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "desk.yaml").write_text(POLICY + desk, encoding="utf-8")
    clock = ManualClock(FRIDAY)
    settings = Settings(policies, home, clock=clock, desk_seconds=0, heartbeat_seconds=0, store=store, keys=keys)
    parts = open_gate(settings)
    issued = {
        name: parts.book.add(name, roles, groups=groups, languages=languages)
        for name, (roles, groups, languages) in PEOPLE.items()
    }
    return Office(parts, clock, settings, issued)


@pytest.fixture(params=["memory", "sqlite"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    opened = open_office(tmp_path, home=tmp_path / "home" if request.param == "sqlite" else None)
    yield opened
    opened.gate.close()


def asked(action: str, subject: str = "ann", resource: str = "r-1", **arguments: object) -> dict[str, object]:
    return {
        "subject": {"type": "user", "id": subject, "properties": {"role": "clerk"}},
        "action": {"name": action, "properties": arguments},
        "resource": {"type": "thing", "id": resource},
    }


def pay(office: Office, amount: int, **more: Any) -> Any:
    return office.gate.decide(asked("pay", amount=amount, **more))


def only(office: Office) -> Any:
    (review,) = office.gate.reviews()
    return review


def records(office: Office, kind: str) -> list[dict[str, Any]]:
    leaves = [json.loads(record.leaf) for record in office.parts.world.store.records()]
    return [leaf for leaf in leaves if leaf["type"] == kind]


def holder(office: Office, review_id: str) -> str:
    return str(office.gate.review(review_id).holder)


def test_a_review_opens_with_its_risk_and_why(office: Office) -> None:
    pay(office, 1_500)
    found = only(office).assessment
    assert (found.severity.level, found.blast_radius.level, found.novelty.level) == (2, 0, 3)
    assert found.overall == "medium"
    assert found.severity.explanation == "`action.amount` reaches 2 of 3 thresholds, 1000"
    assert "1500" not in json.dumps(found.to_dict())


def test_what_the_rule_says_of_its_risk_is_the_least(office: Office) -> None:
    office.gate.decide(asked("send", recipients=1))
    found = only(office).assessment
    assert (found.blast_radius.level, found.reversibility.level, found.overall) == (0, 3, "medium")


def test_a_condition_of_the_desk_counts_for_the_actions_that_it_covers(office: Office) -> None:
    office.gate.decide(asked("send", recipients=6))
    found = only(office).assessment
    assert (found.blast_radius.level, found.blast_radius.explanation) == (2, "it reaches many")


def test_the_deadline_counts_open_hours_of_the_declared_zone(office: Office) -> None:
    office.clock.advance(6 * 3_600 + 1_800)  # 16:30 in Berlin: half an hour is left of Friday, and Monday is closed
    pay(office, 1)
    assert str(only(office).deadline) == "2026-11-21T15:30:00Z"  # the rule allows no more than 24 h


def test_the_deadline_depends_on_the_risk(office: Office) -> None:
    assert str(pay(office, 1).deadline) == "2026-11-20T13:00:00Z"
    assert str(pay(office, 1_500).deadline) == "2026-11-20T11:00:00Z"


def test_nothing_is_estimated_before_anything_was_measured(office: Office) -> None:
    told = pay(office, 1).to_dict()["context"]["deferral"]
    assert told["estimated_resolution"] is None
    assert told["deadline"] == "2026-11-20T13:00:00Z"


def test_the_estimate_is_the_median_of_what_reviews_of_this_kind_took(office: Office) -> None:
    for number, minutes in enumerate((10, 20, 60)):
        deferral = pay(office, 1 + number)
        office.clock.advance(minutes * 60)
        office.gate.rule(deferral.review_id, verdict="approve", reason="fine", credential=office.keys["mara"])
        office.clock.advance(1)
    answer = pay(office, 50)
    took = (answer.estimated.nanos - office.clock.now().nanos) / 1e9
    assert took == 20 * 60
    assert answer.to_dict()["context"]["deferral"]["estimated_resolution"] == str(answer.estimated)


def test_what_an_agent_was_often_approved_for_is_familiar(office: Office) -> None:
    for number in range(3):
        deferral = pay(office, 1 + number)
        office.gate.rule(deferral.review_id, verdict="approve", reason="fine", credential=office.keys["mara"])
    pay(office, 50)
    office.gate.decide(asked("pay", amount=51) | {"actor": {"type": "agent", "id": "other"}})
    levels = {review.asked_by: review.assessment.novelty.level for review in office.gate.reviews()}
    assert sorted(levels.values()) == [0, 2]


def test_the_desk_assigns_to_whoever_is_on_duty(office: Office) -> None:
    deferral = pay(office, 1)
    assert [moved.what for moved in office.gate.route()] == ["assigned"]
    assert holder(office, deferral.review_id) == "mara"
    assert office.gate.route() == ()


def test_with_an_empty_rota_whoever_speaks_the_language_comes_first(office: Office) -> None:
    answer = office.gate.decide(asked("send", recipients=1))
    office.gate.route()
    assert holder(office, answer.review_id) == "ines"


def test_whoever_is_not_of_the_group_may_not_rule(office: Office) -> None:
    answer = office.gate.decide(asked("send", recipients=1))
    with pytest.raises(RulingError, match="in the group `north`"):
        office.gate.rule(answer.review_id, verdict="approve", reason="fine", credential=office.keys["mara"])
    after = office.gate.rule(answer.review_id, verdict="approve", reason="fine", credential=office.keys["otto"])
    assert after.state == "approved"


def test_a_lease_that_ran_out_goes_to_somebody_else(office: Office) -> None:
    deferral = pay(office, 1)
    office.gate.route()
    office.clock.advance(601)
    assert [moved.what for moved in office.gate.route()] == ["released", "assigned"]
    assert holder(office, deferral.review_id) != "mara"


def test_a_review_goes_to_other_people_level_by_level_each_once(office: Office) -> None:
    deferral = pay(office, 1)
    office.clock.advance(3_600)
    assert [moved.what for moved in office.gate.route()] == ["escalated"]
    assert [panel.role for panel in only(office).panels] == ["head"]
    with pytest.raises(RulingError, match="`head`"):
        office.gate.rule(deferral.review_id, verdict="approve", reason="fine", credential=office.keys["mara"])
    office.clock.advance(3_600)
    office.gate.route()
    office.gate.route()
    assert [(leaf["level"], leaf["cause"]) for leaf in records(office, "review_escalated")] == [
        (1, "time"),
        (2, "time"),
    ]
    with pytest.raises(RulingError, match="in the group `council`"):
        office.gate.rule(deferral.review_id, verdict="approve", reason="fine", credential=office.keys["wim"])
    office.gate.route()
    assert holder(office, deferral.review_id) == "vera"


def test_missed_levels_are_passed_over_after_a_restart(tmp_path: Path) -> None:
    office = open_office(tmp_path, home=tmp_path / "home")
    pay(office, 1)
    office.clock.advance(2 * 3_600 + 60)
    office.reopen()
    office.gate.route()
    assert [leaf["level"] for leaf in records(office, "review_escalated")] == [2]
    assert only(office).panels[0].role == "board"
    office.gate.close()


def test_where_everybody_has_a_conflict_it_escalates_and_then_silence_is_no(tmp_path: Path) -> None:
    office = open_office(tmp_path)
    for name in ("mara", "otto", "ines"):
        office.parts.book.remove(name)
    office.parts.book.add("ann", ["clerk", "head", "board"], groups=["council"])
    deferral = pay(office, 1)
    assert office.gate.route() == ()
    office.parts.book.remove("vera")
    office.clock.advance(2 * 3_600)
    assert [moved.what for moved in office.gate.route()] == ["escalated"]
    assert office.gate.route() == ()
    office.clock.advance(3 * 3_600)
    assert [moved.what for moved in office.gate.route()] == ["expired"]
    assert len(records(office, "review_expired")) == 1
    assert isinstance(pay(office, 1), demur.Deferral)
    assert deferral.review_id != only(office).id
    office.gate.close()


def test_what_people_have_no_room_for_is_denied_with_the_time_to_ask_again(office: Office) -> None:
    for number in range(3):
        assert isinstance(pay(office, 1 + number), demur.Deferral)
    refused = pay(office, 9)
    assert isinstance(refused, demur.Refusal)
    context: Any = refused.to_dict(audience=Audience.END_USER)["context"]
    assert context["outcome"] == "deny"
    reason = context["refusal"]["refusal_reason"]
    assert (reason["category"], reason["disposition"]) == ("requires_human", "retry_after")
    assert context["refusal"]["remediation"]["next_step"] == "It can be asked for again from 2026-11-20T09:05:00Z."
    assert context["refusal"]["escalation_available"] is False
    (leaf,) = [leaf for leaf in records(office, "decision") if "shed" in leaf]
    assert leaf["shed"] == {"waiting": 3, "limit": 3, "risk": "low", "again": "2026-11-20T09:05:00Z"}
    assert (leaf["outcome"], leaf["escalation_triggered"], leaf.get("review")) == ("deny", False, None)
    assert len(office.gate.reviews()) == 3


def test_a_turned_away_deferral_judges_to_the_same_again(tmp_path: Path) -> None:
    office = open_office(tmp_path, home=tmp_path / "home")
    answers = [pay(office, 1 + number) for number in range(4)]
    office.gate.close()
    reader = open_reader(tmp_path / "home")
    found = list(replay(reader.records(), reader, reader.vault))
    reader.close()
    assert answers[-1].outcome == "deny"
    assert [(item.status, item.detail) for item in found] == [(Status.SAME, "")] * 4


def test_asking_again_before_the_time_told_counts_as_a_repeat_and_after_it_not(office: Office) -> None:
    for number in range(3):
        pay(office, 1 + number)
    assert [pay(office, 9).repeats for _ in range(3)] == [0, 1, 2]
    office.clock.advance(5 * 60)
    assert pay(office, 9).repeats == 2


def test_one_id_gets_the_same_answer_again(office: Office) -> None:
    for number in range(3):
        pay(office, 1 + number)
    first, again = (office.gate.decide(asked("pay", amount=9) | {"request_id": "r-9"}) for _ in range(2))
    assert (first.audit_id, first.again, first.explain()) == (again.audit_id, again.again, again.explain())


def test_a_higher_risk_is_queued_though_too_many_wait(office: Office) -> None:
    for number in range(3):
        pay(office, 1 + number)
    assert isinstance(pay(office, 20_000), demur.Deferral)
    assert isinstance(office.gate.decide(asked("send", recipients=1)), demur.Deferral)


def test_what_is_overdue_takes_no_room(office: Office) -> None:
    for number in range(3):
        pay(office, 1 + number)
    office.clock.advance(24 * 3_600)
    assert isinstance(pay(office, 9), demur.Deferral)
    assert len(records(office, "review_expired")) == 3


def test_asking_for_what_waits_already_is_never_turned_away(office: Office) -> None:
    first = pay(office, 1)
    pay(office, 2)
    pay(office, 3)
    assert pay(office, 1).review_id == first.review_id


def test_ten_times_as_many_as_there_is_room_for_leave_exactly_the_room_full(office: Office) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: pay(office, 1 + number), range(30)))
    assert sum(isinstance(answer, demur.Deferral) for answer in answers) == 3
    assert sum(isinstance(answer, demur.Refusal) for answer in answers) == 27
    assert office.gate.queue().reviews == 3


def test_a_flagged_action_goes_to_people_at_peak_alone(office: Office) -> None:
    assert isinstance(office.gate.decide(asked("note")), demur.Grant)
    pay(office, 1)
    pay(office, 2)
    assert isinstance(office.gate.decide(asked("note")), demur.Deferral)
    assert isinstance(office.gate.decide(asked("file")), demur.Grant)
    (leaf,) = [leaf for leaf in records(office, "decision") if leaf.get("triggering_policy") == "desk/note-at-peak"]
    assert leaf["outcome"] == "defer"


def test_a_turned_away_action_is_told_in_the_language_asked_for(office: Office) -> None:
    for number in range(3):
        pay(office, 1 + number)
    refused = pay(office, 9)
    told = refused.explain(audience=Audience.END_USER, locale="de")
    assert told.startswith("Über „pay“ entscheidet ein Mensch, und es wartet schon zu viel auf eine Entscheidung.")
    assert "2026-11-20T09:05:00Z" in told


def test_the_queue_tells_how_long_the_oldest_waits(office: Office) -> None:
    pay(office, 1)
    office.clock.advance(90)
    pay(office, 1_500)
    found = office.gate.queue()
    assert (found.reviews, found.oldest_seconds, found.by_risk) == (2, 90.0, {"low": 1, "medium": 1})
    assert (found.is_peak, found.held) == (True, 0)


def test_a_running_gate_does_it_by_itself(tmp_path: Path) -> None:
    office = open_office(tmp_path, home=tmp_path / "home")
    deferral = pay(office, 1)
    office.settings = replace(office.settings, desk_seconds=0.05)
    office.reopen()
    end = time.monotonic() + WAIT
    while not holder(office, deferral.review_id):
        assert time.monotonic() < end, "nobody was assigned"
        time.sleep(0.02)
    office.gate.close()
    reader = open_reader(tmp_path / "home")
    leaves = [json.loads(record.leaf) for record in reader.records()]
    reader.close()
    assert [leaf["cause"] for leaf in leaves if leaf["type"] == "review_assigned"] == ["routed"]
