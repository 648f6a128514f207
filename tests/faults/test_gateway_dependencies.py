"""Every dependency of the gateway failing at every step: the answer is a refusal, and nothing is carried out.

One wrapper stands before each port and fails at the n-th call, for every n that a story makes. The story decides,
redeems, acts and completes, with a deferral approved on the way; `executed` counts what a tool really did. An execution
is right only where a redemption was given for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.terms import Outcome
from demur.errors import DemurError, LedgerError, StoreError
from demur.gateway import Gateway
from tests.flows.shop import Shop, open_shop, refund

if TYPE_CHECKING:
    from pathlib import Path

MAX_CALLS = 200
ERRORS = [StoreError("it cannot be read"), OSError("input/output error"), LedgerError("it contradicts itself")]


@dataclass
class Failing:
    """A port that works until its n-th call, and fails from then on or only then."""

    port: Any
    at: int
    error: Exception
    calls: int = 0
    is_lasting: bool = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.port, name)
        if not callable(found) or name in {"close", "subscribe"}:
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self.at or (self.is_lasting and self.calls > self.at):
                raise self.error
            return found(*args, **more)

        return call


@dataclass
class FailingStore(Failing):
    """A store whose transactions fail at the n-th call, as well as the store itself."""

    def submit(self, work: Any, into: Any = None) -> Any:
        return self._counted("submit")(lambda tx: work(self._watched(tx)), into)

    def read(self, query: Any) -> Any:
        return self._counted("read")(lambda tx: query(self._watched(tx)))

    def _counted(self, name: str) -> Any:
        return Failing.__getattr__(self, name)

    def _watched(self, tx: Any) -> Any:
        return FailingTransaction(tx, self)


@dataclass
class FailingTransaction:
    tx: Any
    store: FailingStore

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tx, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.store.calls += 1
            if self.store.calls == self.store.at or (self.store.is_lasting and self.store.calls > self.store.at):
                raise self.store.error
            return found(*args, **more)

        return call


@dataclass
class Tool:
    """What would move the money."""

    executed: list[str] = field(default_factory=list)

    def run(self, gate: Gateway, answer: Any, arguments: dict[str, Any]) -> None:
        if not isinstance(answer, demur.Grant):
            return
        done = gate.redeem(answer.token, arguments)
        if isinstance(done, demur.Redemption):
            self.executed.append(done.grant_id)
            gate.complete(answer.id, "success")


def story(gate: Gateway, credential: str, tool: Tool) -> list[Any]:
    """Decide and act; defer, approve, ask again and act."""
    answers: list[Any] = [gate.decide(refund(100, request_id="r-1"))]
    tool.run(gate, answers[0], {"amount": 100})
    answers.append(gate.decide(refund(60_000, subject="bob")))
    if isinstance(answers[1], demur.Deferral):
        try:
            gate.rule(answers[1].review_id, verdict="approve", reason="seen", credential=credential)
        except (DemurError, OSError):
            return answers
        answers.append(gate.decide(refund(60_000, subject="bob")))
        tool.run(gate, answers[2], {"amount": 60_000})
    return answers


def broken(shop: Shop, port: str, failing: Any) -> Gateway:
    """The shop's gate with one port replaced."""
    world, active = shop.parts.world, shop.gate._active
    if port == "sources":
        return Gateway(world, replace(active, sources=failing), deadline_seconds=5)
    return Gateway(replace(world, **{port: failing}), active, deadline_seconds=5)


def fail(shop: Shop, port: str, at: int, error: Exception, *, is_lasting: bool) -> tuple[bool, list[Any], Tool]:
    """Run the story with this port failing at that call; whether the port got so far."""
    real = shop.gate._active.sources if port == "sources" else getattr(shop.parts.world, port)
    kind = FailingStore if port == "store" else Failing
    failing = kind(real, at, error, is_lasting=is_lasting)
    tool = Tool()
    gate = broken(shop, port, failing)
    try:
        answers = story(gate, shop.manager, tool)
    except (StoreError, LedgerError, OSError):
        answers = []
    return failing.calls >= at, answers, tool


def redeemed(shop: Shop) -> set[str]:
    """The grants of which the ledger says that they were redeemed."""
    leaves = (json.loads(record.leaf) for record in shop.parts.world.store.records())
    return {leaf["grant"] for leaf in leaves if leaf["type"] == "grant_redeemed"}


@pytest.mark.parametrize("is_lasting", [True, False], ids=["for-good", "once"])
@pytest.mark.parametrize("port", ["store", "vault", "sources", "zones", "reviewers", "clock"])
def test_a_port_that_fails_at_any_call_leads_to_no_execution_without_a_durable_redemption(
    tmp_path: Path, port: str, *, is_lasting: bool
) -> None:
    reached = True
    at = 0
    while reached and at < MAX_CALLS:
        at += 1
        (tmp_path / f"{at}").mkdir()
        shop = open_shop(tmp_path / f"{at}")
        try:
            reached, answers, tool = fail(shop, port, at, ERRORS[at % len(ERRORS)], is_lasting=is_lasting)
            assert set(tool.executed) <= redeemed(shop)
            assert len(set(tool.executed)) == len(tool.executed)
            for answer in answers:
                if isinstance(answer, demur.Refusal):
                    assert answer.outcome in {Outcome.UNAVAILABLE, Outcome.DENY}
        finally:
            shop.gate.close()
    assert 0 < at < MAX_CALLS


def test_without_a_fault_the_story_executes_twice(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    _, answers, tool = fail(shop, "store", 10**6, StoreError("never"), is_lasting=True)
    assert len(tool.executed) == 2
    assert [answer.outcome for answer in answers] == ["allow", "defer", "allow"]
    shop.gate.close()
