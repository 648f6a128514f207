"""Records by which absence shows: epochs, heartbeats, canaries, received requests, meters and what comparing them gave.

- `epoch_start` stands first after every opening and says how often heartbeats and canaries will come; `epoch_end` says
  that the silence after it was meant. A `heartbeat` comes also when nothing else does.
- `received` is durable before its request is judged, for the classes of actions that ask for it; `answered` stands in
  the transaction of the answer. One without the other shows a request that was taken and never answered.
- A canary is a request that must be denied. It is judged as every request is, and recorded as `canary`; it is given no
  grant, uses no quota and waits for nobody, whatever the outcome (S5.3).
- A statement of a meter is taken where its meter is registered, its signature holds and it follows the one before. What
  is signed by the meter and contradicts what it said earlier is recorded as `meter_rejected`.

Clauses: S5, S6, S12. Formats: docs/spec/completeness.md.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, meter
from demur.core.meter import Fault, Trail
from demur.core.record import Draft
from demur.errors import LedgerError, RulingError
from demur.steps import deciding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from demur.core.evidence import Answer
    from demur.core.meter import Signed
    from demur.core.record import Entry, Json
    from demur.core.terms import Outcome, Request
    from demur.ports import Transaction
    from demur.steps.levers import Act
    from demur.steps.session import Prepared, Session
    from demur.steps.world import World

    Verify = Callable[[bytes, bytes, bytes], bool]
    """Whether the holder of a public key signed a message."""

META = "meters"
MAX_METERS = 256
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Registered(msgspec.Struct, frozen=True):
    """A meter that may hand in statements, and how far it has."""

    meter: str
    resource: str
    key: str
    actions: tuple[str, ...]
    every_seconds: int
    trail: Trail = Trail()


class Rhythm(msgspec.Struct, frozen=True):
    """How often a gate says that it is there, in whole seconds; 0 for never."""

    heartbeat_seconds: int = 0
    canary_seconds: int = 0
    canaries: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_registered = msgspec.msgpack.Decoder(tuple[Registered, ...])


def trust_nobody(_public: bytes, _message: bytes, _signature: bytes) -> bool:
    """For a gate that was given nothing to check signatures with: no statement of a meter is taken."""
    return False


def start(tx: Transaction, rhythm: Rhythm) -> None:
    """The first record of an opening: the size that it continues, and what will be heard of it."""
    members: dict[str, Json] = {
        "continues": tx.head.size,
        "heartbeat_seconds": rhythm.heartbeat_seconds,
        "canary_seconds": rhythm.canary_seconds if rhythm.canaries else 0,
        "canaries": list(rhythm.canaries),
    }
    tx.append(Draft("epoch_start", members))


def end(tx: Transaction) -> None:
    """The last record of an opening that ends in order."""
    tx.append(Draft("epoch_end", {}))


def beat(tx: Transaction) -> None:
    """The gate is there."""
    tx.append(Draft("heartbeat", {}))


def receive(world: World, tx: Transaction, request: Request) -> Entry:
    """A request was taken, and will be judged next. The record names its action and, by a pseudonym, its caller."""
    members: dict[str, Json] = {
        "action_intent": {"action": evidence.token(request.action)},
        "requesting_entity": {"caller": world.pseudonym("caller", request.caller)},
    }
    return tx.append(Draft("received", members))


def answer(tx: Transaction, received: int, given: Answer | None) -> None:
    """What became of a received request: the record of its answer, or `malformed` where its id was used before."""
    if given is None:
        tx.append(Draft("answered", {"received": received, "outcome": "malformed"}))
        return
    members: dict[str, Json] = {
        "received": received,
        "outcome": given.outcome.value,
        "record": int(given.audit_id.rpartition("/")[2]),
    }
    tx.append(Draft("answered", members))


def canary(session: Session, name: str, prepared: Prepared) -> Outcome:
    """Judge a request that must be denied, and record what came of it. There is nothing that could be redeemed."""
    decision = deciding.judged(session, prepared).decision
    members: dict[str, Json] = {"canary": name, "outcome": decision.outcome.value}
    if decision.category is not None:
        members["refusal_category"] = decision.category.value
    if decision.trigger:
        members["triggering_policy"] = evidence.token(decision.trigger)
    session.tx.append(Draft("canary", members | {"policy_version": decision.policy_digest}))
    return decision.outcome


def meters(tx: Transaction) -> tuple[Registered, ...]:
    """The registered meters, by name."""
    raw = tx.find_meta(META)
    return () if raw is None else _registered.decode(raw)


def register(
    tx: Transaction, who: Act, *, name: str, resource: str, key: str, actions: Collection[str], every_seconds: int
) -> Registered:
    """Trust this key for the statements of a meter; a known meter goes on under another key.

    Raises `RulingError` where a name, the key or an action is none.
    """
    try:
        meter.check_name("meter", name), meter.check_name("resource", resource)
    except LedgerError as error:
        raise RulingError(str(error)) from error
    if _KEY.fullmatch(key) is None:
        message = f"expected a public key of 64 hex digits, found `{key[:80]}`"
        raise RulingError(message, hint="`demur meter key FOLDER` prints it")
    if not 0 <= every_seconds <= 86_400:
        message = f"expected 0 to 86400 seconds between statements, found {every_seconds}"
        raise RulingError(message)
    known = {item.meter: item for item in meters(tx)}
    if name not in known and len(known) >= MAX_METERS:
        message = f"expected at most {MAX_METERS} meters, found one more"
        raise RulingError(message)
    wanted = tuple(sorted({evidence.token(action) for action in actions}))
    trail = known[name].trail if name in known else Trail()
    added = Registered(name, resource, key, wanted, every_seconds, trail)
    members: dict[str, Json] = {
        "meter": name,
        "resource": resource,
        "key": key,
        "actions": list(wanted),
        "every_seconds": every_seconds,
        "operator": who.operator,
    }
    tx.append(Draft("meter_registered", members, who.seal()))
    _put(tx, {**known, name: added})
    return added


def submit(tx: Transaction, raw: bytes, signed: Signed, verify: Verify) -> bool | LedgerError:
    """Take one statement; whether it was not known yet. An error is returned where the refusal itself is recorded.

    Raises `LedgerError` where no such meter is registered, or its signature does not hold.
    """
    known = {item.meter: item for item in meters(tx)}
    said = signed.statement
    registered = known.get(said.meter)
    if registered is None or registered.resource != said.resource:
        message = f"expected a registered meter, found `{said.meter}` of `{said.resource}`"
        raise LedgerError(message, hint="`demur meter register` makes its key known")
    if not verify(bytes.fromhex(registered.key), meter.to_sign(signed.body), signed.signature):
        message = f"the signature of statement {said.n} of meter `{said.meter}` does not hold"
        raise LedgerError(message)
    followed = meter.follow(registered.trail, signed)
    if isinstance(followed, Trail):
        tx.put_blob(f"statement:{signed.digest}", raw)
        tx.append(Draft("meter", statement_members(signed)))
        _put(tx, {**known, said.meter: msgspec.structs.replace(registered, trail=followed)})
        return True
    if followed is Fault.REPEATED or tx.find_blob(f"statement:{signed.digest}") is not None:
        return False
    if followed is Fault.GAP:
        message = f"expected statement {registered.trail.n + 1} of meter `{said.meter}`, found {said.n}"
        raise LedgerError(message, hint="hand in the statements in between first, in order")
    tx.put_blob(f"statement:{signed.digest}", raw)
    members: dict[str, Json] = {"meter": said.meter, "n": said.n, "statement": signed.digest, "cause": followed.value}
    tx.append(Draft("meter_rejected", members))
    return LedgerError(f"statement {said.n} of meter `{said.meter}` contradicts what it said before")


def statement_members(signed: Signed) -> dict[str, Json]:
    """What the leaf of a `meter` record says of its statement."""
    said = signed.statement
    return {
        "meter": said.meter,
        "resource": said.resource,
        "epoch": said.epoch,
        "n": said.n,
        "operations": said.operations,
        "granted": len(said.granted),
        "ungranted": sum(item.count for item in said.ungranted),
        "refused": sum(item.count for item in said.refused),
        "since": said.since,
        "until": said.until,
        "statement": signed.digest,
    }


def reconciled(tx: Transaction, members: dict[str, Json], report: bytes) -> Entry:
    """The result of a comparison, and its report."""
    digest = hashlib.sha256(report).hexdigest()
    tx.put_blob(f"report:{digest}", report)
    return tx.append(Draft("reconciliation", {**members, "report": digest}))


def _put(tx: Transaction, known: dict[str, Registered]) -> None:
    tx.put_meta(META, _encode(tuple(known[name] for name in sorted(known))))
