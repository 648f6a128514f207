"""A small model of the gate, the ledger and an executor, and a search through every state it can reach.

The model is of the protocol, not of the code: a record is appended, committed, acknowledged; a process may crash at any
moment and then has only what was committed; an executor redeems before it acts, and may act without asking; checkpoints
are signed after the commit; the key of a person is destroyed. The search is breadth first, so that the first fault
found is a shortest one.

    always      no execution by the executor without a committed allow and a committed redemption
                no grant redeemed twice, and none executed twice
                every acknowledged record is in the ledger for ever
                no two roots are signed for one size
                an erased person's values cannot be read, and no record is lost by it
    in the end  a meter that counted more than was redeemed says so (what happened behind the gate's back is seen)

Each `Flaw` takes one rule out of the model; the search must find what follows. That is the proof of the search.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Flaw(StrEnum):
    """What the model leaves out."""

    ANSWER_BEFORE_COMMIT = "the answer leaves before its record is committed"
    ACT_BEFORE_COMMIT = "the executor acts before the redemption is committed"
    REDEEM_UNCHECKED = "a redemption does not look whether there was one"
    RETRY_APPENDS = "a request that is asked again is recorded again, with a grant of its own"
    SIGN_BEFORE_COMMIT = "a checkpoint is signed before what it covers is committed"
    ERASE_DELETES = "to erase a person deletes their records"
    METER_ASLEEP = "the meter counts only what was redeemed"


class Record(NamedTuple):
    """`kind` is allow, redeemed, completed or erasure; `run` tells two writings of one place apart."""

    kind: str
    grant: int
    run: int


@dataclass(frozen=True, slots=True)
class State:
    """Everything there is. `disk` survives a crash; `memory` is appended and not committed."""

    disk: tuple[Record, ...] = ()
    memory: tuple[Record, ...] = ()
    run: int = 0
    """How often the process was started: records written in another run are others."""
    answered: frozenset[int] = frozenset()
    """Requests whose grant the caller holds."""
    acknowledged: frozenset[Record] = frozenset()
    redeemed: tuple[int, ...] = ()
    """Redemptions that the executor was told of, in order."""
    executed: tuple[int, ...] = ()
    bypassed: int = 0
    """Executions without asking."""
    metered: int = 0
    signed: frozenset[tuple[int, tuple[Record, ...]]] = frozenset()
    has_key: bool = True
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the search goes: `records` bounds the ledger."""

    grants: int = 2
    records: int = 6
    crashes: int = 2
    bypasses: int = 1
    signatures: int = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What the search found; `trace` is a shortest way to the fault."""

    states: int
    steps: int
    fault: str = ""
    trace: tuple[str, ...] = ()


def explore(bounds: Bounds, flaw: Flaw | None = None) -> Result:
    """Every state within the bounds, or the first that breaks a rule."""
    first = State()
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    waiting = deque([first])
    steps = 0
    while waiting:
        state = waiting.popleft()
        for label, after in steps_from(state, bounds, flaw):
            steps += 1
            if after in came_from:
                continue
            came_from[after] = (state, label)
            fault = broken(after)
            if fault:
                return Result(len(came_from), steps, fault, _trace(came_from, after))
            waiting.append(after)
    return Result(len(came_from), steps)


def broken(state: State) -> str:
    """The rule that this state breaks, "" where it breaks none."""
    allowed = {record.grant for record in state.disk if record.kind == "allow"}
    redeemed = {record.grant for record in state.disk if record.kind == "redeemed"}
    if not set(state.executed) <= allowed & redeemed:
        return "executed without a durable allow and redemption"
    if len(set(state.executed)) < len(state.executed) or len(set(state.redeemed)) < len(state.redeemed):
        return "one grant was redeemed or executed twice"
    if any(sum(item.kind == "redeemed" and item.grant == grant for item in state.disk) > 1 for grant in redeemed):
        return "one grant was redeemed twice in the ledger"
    if any(sum(item.kind == "allow" and item.grant == grant for item in state.disk) > 1 for grant in allowed):
        return "one request was granted twice"
    if not state.acknowledged <= set(state.disk):
        return "an acknowledged record is gone"
    if len({size for size, _ in state.signed}) < len(state.signed):
        return "two roots were signed for one size"
    if state.bypassed and state.metered < len(state.executed) + state.bypassed and state.memory == ():
        return "what happened behind the gate's back was not counted"
    return ""


def steps_from(state: State, bounds: Bounds, flaw: Flaw | None) -> Iterator[tuple[str, State]]:
    """Everything that can happen next."""
    if len(state.disk) + len(state.memory) < bounds.records:
        yield from _appends(state, bounds, flaw)
    if state.memory:
        yield "commit", replace(state, disk=state.disk + state.memory, memory=())
    if state.crashes < bounds.crashes:
        yield "crash", replace(state, memory=(), run=state.run + 1, crashes=state.crashes + 1)
    yield from _answers(state, flaw)
    yield from _executions(state, bounds, flaw)
    yield from _signatures(state, bounds, flaw)


def _appends(state: State, bounds: Bounds, flaw: Flaw | None) -> Iterator[tuple[str, State]]:
    known = state.disk + state.memory
    for grant in range(bounds.grants):
        has_allow = _has(known, "allow", grant)
        if not has_allow or (flaw is Flaw.RETRY_APPENDS and grant not in state.answered):
            yield _append(state, "allow", grant)
        has_redeemed = _has(known, "redeemed", grant) and flaw is not Flaw.REDEEM_UNCHECKED
        if grant in state.answered and not has_redeemed:
            yield _append(state, "redeemed", grant)
        if grant in state.executed and not _has(known, "completed", grant):
            yield _append(state, "completed", grant)
    if state.has_key and known:
        label, after = _append(state, "erasure", -1)
        kept = after.disk[1:] if flaw is Flaw.ERASE_DELETES else after.disk
        yield label, replace(after, has_key=False, disk=kept)


def _append(state: State, kind: str, grant: int) -> tuple[str, State]:
    return f"append {kind} {grant}", replace(state, memory=(*state.memory, Record(kind, grant, state.run)))


def _answers(state: State, flaw: Flaw | None) -> Iterator[tuple[str, State]]:
    """What is committed is acknowledged: to the caller, and of a redemption to the executor."""
    released = state.disk + (state.memory if flaw is Flaw.ANSWER_BEFORE_COMMIT else ())
    for record in released:
        if record in state.acknowledged:
            continue
        after = replace(state, acknowledged=state.acknowledged | {record})
        if record.kind == "allow":
            after = replace(after, answered=state.answered | {record.grant})
        elif record.kind == "redeemed" and record.run == state.run:
            # Only the caller that waits in this very run hears of it.
            after = replace(after, redeemed=(*state.redeemed, record.grant))
        yield f"acknowledge {record.kind} {record.grant}", after


def _executions(state: State, bounds: Bounds, flaw: Flaw | None) -> Iterator[tuple[str, State]]:
    heard = set(state.redeemed)
    if flaw is Flaw.ACT_BEFORE_COMMIT:
        heard |= {record.grant for record in state.memory if record.kind == "redeemed"}
    for grant in heard - set(state.executed):
        yield f"execute {grant}", replace(state, executed=(*state.executed, grant), metered=state.metered + 1)
    if state.bypassed < bounds.bypasses:
        counted = 0 if flaw is Flaw.METER_ASLEEP else 1
        yield "bypass", replace(state, bypassed=state.bypassed + 1, metered=state.metered + counted)


def _signatures(state: State, bounds: Bounds, flaw: Flaw | None) -> Iterator[tuple[str, State]]:
    covered = state.disk + (state.memory if flaw is Flaw.SIGN_BEFORE_COMMIT else ())
    signature = (len(covered), covered)
    if covered and len(state.signed) < bounds.signatures and signature not in state.signed:
        yield f"sign {len(covered)}", replace(state, signed=state.signed | {signature})


def _has(records: tuple[Record, ...], kind: str, grant: int) -> bool:
    return any(record.kind == kind and record.grant == grant for record in records)


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    labels: list[str] = []
    while (before := came_from[state]) is not None:
        state, label = before
        labels.append(label)
    return tuple(reversed(labels))
