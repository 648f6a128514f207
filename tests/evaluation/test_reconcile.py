"""Every kind of bypass is found by what it leaves behind, and what is honest raises no finding (S5, S6)."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demur.core.meter import Cause, Refused
from demur.core.reconciliation import SEVERITIES, Kind, Limits, Severity

from . import standings
from .honest import History, Story, grant_of, redeem, rest

if TYPE_CHECKING:
    from collections.abc import Callable

THOROUGH = os.environ.get("DEMUR_TEST_PROFILE") == "thorough"
HONEST = int(os.environ.get("DEMUR_HONEST", "2000" if THOROUGH else "200"))
"""Executions that must raise no finding; `make reconcile` asks for 100,000."""
SEEDS = int(os.environ.get("DEMUR_SEEDS", "20" if THOROUGH else "3"))
"""Honest histories, each of which every bypass is put into; `make reconcile` asks for 1,000."""


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> list[History]:
    return [honest(tmp_path_factory.mktemp("till"), seed, 25) for seed in range(SEEDS)]


def honest(folder: Any, seed: int, steps: int) -> History:
    story = Story(folder, seed)
    story.acts = tuple(act for act in Story.acts if act is not Story.crash)  # type: ignore[assignment]
    try:
        return story.run(steps)
    finally:
        story.close()


def used(history: History) -> dict[str, Any]:
    """The redemption of the last execution that the meter saw."""
    return history.find("grant_redeemed", grant=history.find("grant_completed", status="success")["grant"])


def end(history: History, decision: dict[str, Any]) -> None:
    history.add("grant_completed", grant=decision["grant"], decision=decision["sequence"], status="success")


# What goes on behind the gate's back: the tool is called, and only the meter knows.


def called_directly(history: History) -> None:
    history.meter.count("return_goods")
    history.state()


def called_after_denial(history: History) -> None:
    history.meter.count("pay")
    history.state()


def called_on_an_invented_grant(history: History) -> None:
    history.meter.see("pay", "0" * 32, "ab" * 16)
    history.state()


def called_without_redeeming(history: History) -> None:
    decision = grant_of(history)
    history.meter.see("pay", decision["grant"], "")
    history.state()


def called_on_an_expired_grant(history: History) -> None:
    decision = grant_of(history)
    history.wait(3_600)
    history.meter.see("pay", decision["grant"], "")
    history.add("heartbeat")
    history.state()


def called_on_a_revoked_grant(history: History) -> None:
    decision = grant_of(history)
    history.add("grant_revoked", grant=decision["grant"], decision=decision["sequence"])
    history.meter.see("pay", decision["grant"], "")
    history.state()


def called_before_redeeming(history: History) -> None:
    decision = grant_of(history)
    history.meter.see("pay", decision["grant"], "ab" * 16)
    history.wait(20)
    redeem(history, decision)
    end(history, decision)
    history.state()


def called_long_after(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    for _ in range(8):
        history.wait(60)
        history.add("heartbeat")
        history.state()
    history.meter.see("pay", decision["grant"], "ab" * 16)
    end(history, decision)
    history.state()


def called_again_on_one_grant(history: History) -> None:
    redeemed = used(history)
    history.meter.see("pay", redeemed["grant"], redeemed["mark"])
    history.state()


def called_after_its_end(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    end(history, decision)
    history.wait(30)
    history.meter.see("pay", decision["grant"], "ab" * 16)
    history.state()


def called_with_other_arguments(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    history.meter.see("pay", decision["grant"], "cd" * 16)
    end(history, decision)
    history.state()


def called_another_tool(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    history.meter.see("payout", decision["grant"], "ab" * 16)
    end(history, decision)
    history.state()


def called_while_stopped(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    history.add("stop_on", stop="s" * 16, actions=["pay"], scope="some", operator="a" * 32)
    history.wait(20)
    history.meter.see("pay", decision["grant"], "ab" * 16)
    end(history, decision)
    history.state()


def tried_twice(history: History) -> None:
    at = str(history.now)
    history.meter.refused.append(Refused("pay", Cause.USED, 1, at, at))
    history.state()


def rows_taken_from_the_counter(history: History) -> None:
    history.meter.count("demur.lost", 3)
    history.state()


def reported_and_never_done(history: History) -> None:
    decision = grant_of(history)
    redeem(history, decision)
    end(history, decision)
    history.wait(20)
    history.state()


# A gate that does not keep to its own rules.


def redeemed_on_nothing(history: History) -> None:
    decision = {**history.find("decision", outcome="allow"), "grant": "0" * 32}
    redeem(history, decision)


def redeemed_on_a_denial(history: History) -> None:
    redeem(history, grant_of(history, outcome="deny"))


def redeemed_again(history: History) -> None:
    redeemed = used(history)
    history.add(**rest(redeemed), kind="grant_redeemed")


def redeemed_after_its_time(history: History) -> None:
    decision = grant_of(history)
    history.wait(31)
    redeem(history, decision)


def redeemed_after_revocation(history: History) -> None:
    decision = grant_of(history)
    history.add("grant_revoked", grant=decision["grant"], decision=decision["sequence"])
    redeem(history, decision)


def redeemed_for_another_decision(history: History) -> None:
    redeem(history, grant_of(history), decision=1)


def redeemed_under_other_policies(history: History) -> None:
    redeem(history, grant_of(history), policy_version="sha256:" + "0" * 64)


def redeemed_under_a_stop(history: History) -> None:
    decision = grant_of(history)
    history.add("stop_on", stop="s" * 16, actions=[], scope="all", operator="a" * 32)
    redeem(history, decision)


def redeemed_in_quarantine(history: History) -> None:
    decision = grant_of(history)
    history.add("session_quarantined", key="e" * 32)
    redeem(history, decision, key="e" * 32)


def redeemed_after_broken_glass(history: History) -> None:
    history.add("glass_opened", break_glass="b" * 16, until=str(history.now.plus(600)), actions=["pay"])
    denied = history.add("decision", **rest(history.find("decision", outcome="deny")))
    used_glass = {"break_glass": "b" * 16, "decision": denied["sequence"], "grant": "9" * 32}
    history.add("glass_used", **used_glass, grant_expires_at=str(history.now.plus(30)))
    history.add("glass_ended", break_glass="b" * 16, cause="operator")
    redeem(history, {**denied, "grant": "9" * 32})


def glass_that_nobody_broke(history: History) -> None:
    denied = history.add("decision", **rest(history.find("decision", outcome="deny")))
    used_glass = {"break_glass": "b" * 16, "decision": denied["sequence"], "grant": "9" * 32}
    history.add("glass_used", **used_glass, grant_expires_at=str(history.now.plus(30)))


def ended_without_redemption(history: History) -> None:
    end(history, grant_of(history))


def begun_without_redemption(history: History) -> None:
    history.add("grant_started", grant=grant_of(history)["grant"])


def ended_again(history: History) -> None:
    history.add(**rest(history.find("grant_completed")), kind="grant_completed")


def begun_and_never_ended(history: History) -> None:
    redeem(history, grant_of(history))
    history.limits = Limits(end=10)
    history.wait(30)


# What should have been said.


def received_and_dropped(history: History) -> None:
    history.add("received", action_intent={"action": "ship"})
    history.limits = Limits(answer=10)
    history.wait(30)


def refused_without_a_trace(history: History) -> None:
    history.limits = Limits(answer=0)
    received = history.add("received", action_intent={"action": "ship"})
    history.blank(history.add("answered", received=received["sequence"], outcome="deny"))


def answered_out_of_nothing(history: History) -> None:
    history.add("answered", received=0, outcome="allow")


def fell_silent(history: History) -> None:
    history.wait(600)


def went_on_without_heartbeats(history: History) -> None:
    for _ in range(10):
        history.wait(30)
        history.add("decision", **rest(history.find("decision", outcome="deny")))


def canary_left_out(history: History) -> None:
    for _ in range(40):
        history.wait(60)
        history.add("heartbeat")


def canary_let_through(history: History) -> None:
    history.add("canary", canary="erase", outcome="allow")


def opened_beside_the_chain(history: History) -> None:
    history.add("epoch_start", continues=1, heartbeat_seconds=60, canary_seconds=0, canaries=[])


def writer(history: History, **changed: Any) -> None:
    """Give all records the stamp of one writer, and one more record with another."""
    for n, leaf in enumerate(history.leaves):
        leaf["writer"] = {"id": "a" * 16, "epoch": 1, "n": n}
    history.leaves[0]["type"], history.leaves[0]["continues"] = "epoch_start", 0
    history.add("epoch_start", continues=len(history.leaves), heartbeat_seconds=0)
    history.leaves[-1]["writer"].update(changed)


def record_left_out(history: History) -> None:
    writer(history, n=10_000)


def opening_left_out(history: History) -> None:
    writer(history, epoch=3, n=0)


def older_writer_goes_on(history: History) -> None:
    writer(history, epoch=0)


def opening_without_a_word(history: History) -> None:
    writer(history, epoch=2, n=0)
    history.leaves[-1]["type"] = "heartbeat"


# Meters and their statements.


def statement_left_out(history: History) -> None:
    history.meter.state()
    history.state()


def statement_said_twice(history: History) -> None:
    history.meter.n -= 1
    history.state()


def statement_signed_by_another(history: History) -> None:
    history.meter = replace(history.meter, key=Ed25519PrivateKey.generate())
    history.state()


def statement_of_an_unknown_meter(history: History) -> None:
    history.files.append(replace(history.meter, name="till-2", n=0, granted=[], ungranted=[], refused=[]).state())


def statement_lost(history: History) -> None:
    history.statements.pop(history.state()["statement"])


def statement_exchanged(history: History) -> None:
    leaf = history.state()
    leaf["operations"] += 1


def statement_rejected(history: History) -> None:
    history.add("meter_rejected", meter="till-1", n=0, cause="forked", statement="0" * 64)


def meter_fell_silent(history: History) -> None:
    for _ in range(10):
        history.wait(60)
        history.add("heartbeat")


def meter_was_off_for_a_while(history: History) -> None:
    meter_fell_silent(history)
    history.state()


BYPASSES: dict[Callable[[History], None], Kind] = {
    called_directly: Kind.EXECUTED_WITHOUT_GRANT,
    called_after_denial: Kind.EXECUTED_AFTER_DENIAL,
    called_on_an_invented_grant: Kind.EXECUTED_ON_UNKNOWN_GRANT,
    called_without_redeeming: Kind.EXECUTED_UNREDEEMED,
    called_on_an_expired_grant: Kind.EXECUTED_UNREDEEMED,
    called_on_a_revoked_grant: Kind.EXECUTED_REVOKED,
    called_before_redeeming: Kind.EXECUTED_BEFORE_REDEMPTION,
    called_long_after: Kind.EXECUTED_LATE,
    called_again_on_one_grant: Kind.EXECUTED_TWICE,
    called_after_its_end: Kind.EXECUTED_AFTER_END,
    called_with_other_arguments: Kind.ARGUMENTS_DIFFER,
    called_another_tool: Kind.OTHER_ACTION,
    called_while_stopped: Kind.EXECUTED_WHILE_STOPPED,
    tried_twice: Kind.TURNED_AWAY,
    rows_taken_from_the_counter: Kind.COUNTER_ALTERED,
    reported_and_never_done: Kind.ENDED_UNSEEN,
    redeemed_on_nothing: Kind.REDEEMED_WITHOUT_ALLOW,
    redeemed_on_a_denial: Kind.GRANTED_ON_DENIAL,
    redeemed_again: Kind.REDEEMED_TWICE,
    redeemed_after_its_time: Kind.REDEEMED_EXPIRED,
    redeemed_after_revocation: Kind.REDEEMED_REVOKED,
    redeemed_for_another_decision: Kind.REDEEMED_FOR_ANOTHER,
    redeemed_under_other_policies: Kind.REDEEMED_UNDER_OTHER_POLICIES,
    redeemed_under_a_stop: Kind.REDEEMED_WHILE_STOPPED,
    redeemed_in_quarantine: Kind.REDEEMED_IN_QUARANTINE,
    redeemed_after_broken_glass: Kind.REDEEMED_AFTER_GLASS,
    glass_that_nobody_broke: Kind.GRANTED_ON_DENIAL,
    **dict.fromkeys(standings.SCENES, Kind.GRANTED_BEYOND_STANDING),
    ended_without_redemption: Kind.ENDED_UNREDEEMED,
    begun_without_redemption: Kind.STARTED_UNREDEEMED,
    ended_again: Kind.ENDED_TWICE,
    begun_and_never_ended: Kind.START_WITHOUT_END,
    received_and_dropped: Kind.RECEIVED_UNDECIDED,
    refused_without_a_trace: Kind.RECEIVED_UNDECIDED,
    answered_out_of_nothing: Kind.ANSWERED_UNRECEIVED,
    fell_silent: Kind.HEARTBEAT_GAP,
    went_on_without_heartbeats: Kind.HEARTBEAT_GAP,
    canary_left_out: Kind.CANARY_MISSING,
    canary_let_through: Kind.CANARY_ALLOWED,
    opened_beside_the_chain: Kind.EPOCH_FORKED,
    record_left_out: Kind.WRITER_GAP,
    opening_left_out: Kind.EPOCH_GAP,
    older_writer_goes_on: Kind.EPOCH_FORKED,
    opening_without_a_word: Kind.EPOCH_UNANNOUNCED,
    statement_left_out: Kind.METER_GAP,
    statement_said_twice: Kind.METER_FORKED,
    statement_signed_by_another: Kind.METER_SIGNATURE,
    statement_of_an_unknown_meter: Kind.METER_UNREGISTERED,
    statement_lost: Kind.STATEMENT_MISSING,
    statement_exchanged: Kind.STATEMENT_DIFFERS,
    statement_rejected: Kind.METER_FORKED,
    meter_fell_silent: Kind.METER_SILENT,
    meter_was_off_for_a_while: Kind.METER_SILENT,
}


@pytest.mark.parametrize("bypass", BYPASSES, ids=lambda bypass: bypass.__name__)
def test_a_bypass_is_found_in_every_history(histories: list[History], bypass: Callable[[History], None]) -> None:
    missed = []
    for seed, history in enumerate(histories):
        tampered = history.copy()
        bypass(tampered)
        if BYPASSES[bypass].value not in tampered.kinds():
            missed.append(seed)

    assert missed == []


def test_a_history_without_a_bypass_has_no_finding(histories: list[History]) -> None:
    assert [history.kinds() for history in histories] == [set()] * SEEDS


def test_every_kind_that_is_grave_has_a_bypass_that_shows_it() -> None:
    shown = set(BYPASSES.values())

    assert {kind for kind in Kind if SEVERITIES[kind] is not Severity.INFO} == shown


def test_a_request_that_a_gap_explains_is_only_worth_knowing(histories: list[History]) -> None:
    history = histories[0].copy()
    history.add("received", action_intent={"action": "ship"})
    last = str(history.now)
    history.add("gap", cause="unavailable", count=1, first=last, last=last, is_count_known=True)
    history.wait(100)
    report = history.compare()

    assert (report.kinds, report.verdict) == ({"received_unavailable": 1}, "reconciled")


def test_what_a_crash_left_open_is_found_and_nothing_else(tmp_path: Any) -> None:
    story = Story(tmp_path, 7)
    story.crash()
    history = story.run(60)
    story.close()
    history.limits = Limits(end=0)
    found = history.compare().findings

    assert {finding.grant for finding in found} == story.unended != set()
    assert {finding.kind for finding in found} == {Kind.START_WITHOUT_END}


def test_honest_executions_raise_no_finding(tmp_path: Any) -> None:
    story = Story(tmp_path, 1)
    story.acts = tuple(act for act in Story.acts if act is not Story.crash)  # type: ignore[assignment]
    while story.executions < HONEST:
        story.chance.choice(story.acts)(story)
        story.pass_time(story.chance.choice([0.01, 0.2, 3, 20]))
    history = story.history()
    story.close()
    report = history.compare()

    assert (report.kinds, report.verdict) == ({}, "reconciled")
    assert report.totals["redeemed"] >= HONEST


def test_the_report_says_what_it_covers_and_what_it_cannot(histories: list[History]) -> None:
    report = histories[0].compare()

    assert report.coverage == {"metered": ("pay",), "grants": ("ship",), "nothing": ("erase",)}
    assert report.resources == ("till",)
    assert report.size == len(histories[0].leaves)


def test_a_resource_with_a_finding_is_not_named_as_reconciled(histories: list[History]) -> None:
    history = histories[0].copy()
    called_directly(history)
    report = history.compare()

    assert (report.verdict, report.resources) == ("findings", ())


def test_without_a_meter_nothing_is_called_reconciled(histories: list[History]) -> None:
    history = histories[0].copy()
    for leaf in history.leaves:
        if leaf["type"] in {"meter", "meter_registered"}:
            history.blank(leaf)
    report = history.compare()

    assert (report.verdict, report.coverage["metered"]) == ("unmetered", ())


@pytest.fixture
def chance() -> random.Random:
    return random.Random(5)


def test_statements_of_files_are_taken_once(histories: list[History]) -> None:
    history = histories[0].copy()
    history.files = list(history.statements.values())

    assert history.kinds() == set()


@pytest.mark.parametrize("count", [2, 5])
def test_several_bypasses_at_once_are_all_found(histories: list[History], chance: random.Random, count: int) -> None:
    calls = [
        called_directly,
        called_on_an_invented_grant,
        called_with_other_arguments,
        canary_let_through,
        redeemed_again,
    ]
    history = histories[-1].copy()
    wanted = chance.sample(calls, count)
    for bypass in wanted:
        bypass(history)

    assert {BYPASSES[bypass].value for bypass in wanted} <= history.kinds()
