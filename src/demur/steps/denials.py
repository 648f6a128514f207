"""Denials that hold: recognise attempts that belong together, quarantine a key, and lift its quarantine.

1. Before judging, the key of the request is looked up, once. A quarantined key is refused, whatever it asks.
2. A refusal or deferral learns from what is remembered whether it repeats an earlier one; then its record is written.
3. After its record, the attempt is remembered. At the limit that the policies declare, the key is quarantined.

All of it is one transaction with the answer. The key is a pseudonym of caller, subject and session in this log, so it
binds nobody else (S8.1). What is remembered holds marks, numbers of records and closed words; who is quarantined is
sealed under that person's key.

Clauses: S6.2, S8, S12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from demur.core import denial, evidence, refusal
from demur.core.denial import Advice, Attempt, Denials
from demur.core.record import Draft
from demur.core.refusal import Reason, Refusal
from demur.core.remedy.chart import Kind
from demur.core.terms import Audience, Bar, Category, Disposition, Outcome, Timestamp
from demur.errors import LedgerError, RulingError
from demur.steps.telling import News

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.record import Entry, Json
    from demur.core.remedy.offers import Part, Remedies
    from demur.core.resolution import Facts, Learned
    from demur.core.schema import Schema
    from demur.core.terms import Request
    from demur.ports import Transaction, Vault
    from demur.steps.levers import Act
    from demur.steps.world import Active, World

MAX_LISTED = 10_000
"""Quarantined keys that are listed; an older one is still quarantined, and its record names it."""
QUARANTINED, LIFTED = "governance.session.quarantined", "governance.session.lifted"

_NAME = "denial."
_LIST = "denials"
_HELD, _FREE = b"q", b"-"
"""The first byte of what is kept, so that most requests need not read the rest."""
_MARK_BYTES = 16
_NOBODY: Mapping[str, tuple[str, bytes]] = {}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Denials).decode
_decode_keys = msgspec.msgpack.Decoder(list[str]).decode
_REASON = Reason(Category.STATE_CONFLICT, Disposition.SEEK_AUTHORITY)
_SEALED = {"caller": "caller", "subject": "subject", "session": "session", "reviewer": "operator", "reason": "reason"}
"""Name of a sealed field, and what operators know it as."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One quarantined key, for operators. Who it is stands empty where that was erased."""

    key: str
    since: Timestamp
    repeats: int
    """How many attempts against advice led to it; 0 where an operator did it by hand."""
    audit_id: str
    caller: str = ""
    subject: str = ""
    session: str = ""
    operator: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is remembered for the key of a refused attempt, and the attempt itself."""

    key: str
    denials: Denials
    attempt: Attempt
    facts: Facts


def key_of(world: World, request: Request) -> str:
    """The pseudonym of caller, subject and session in this log."""
    subject = request.subject
    return _key(world, request.caller, subject.type, subject.id, request.session)


def is_held(tx: Transaction, key: str) -> bool:
    """Whether this key is quarantined."""
    raw = tx.find_meta(_NAME + key)
    return raw is not None and raw[:1] == _HELD


def block(world: World, active: Active, tx: Transaction, facts: Facts) -> Refusal | None:
    """The recorded refusal of a request whose key is quarantined; `None` where it is not."""
    request, schema = facts.request, active.policies.schema
    key = key_of(world, request)
    if not is_held(tx, key):
        return None
    refused = quarantined(active, tx, request)
    kept = evidence.fields(facts, schema, refused, {})
    sealed = world.seal(request, kept)
    members: dict[str, Json] = {
        "quarantine": key,
        "refusal_category": _REASON.category.value,
        "policy_version": active.digest,
        "requesting_entity": {
            "subject": sealed.key_id,
            "actor": world.mark(request.actor.name, "actor"),
            "caller": world.pseudonym("caller", request.caller),
        },
    }
    entry = tx.append(Draft("blocked", members, sealed))
    return msgspec.structs.replace(refused, audit_id=f"{tx.log}/{entry.sequence}")


def quarantined(active: Active, tx: Transaction, request: Request) -> Refusal:
    """What is said to whoever is quarantined."""
    return refusal.barred(
        Bar.QUARANTINED,
        _REASON,
        request,
        active.policies.schema,
        locale=active.policies.documents.locale,
        policy_version=active.digest,
        as_of=tx.now,
    )


def recall(
    world: World, active: Active, tx: Transaction, facts: Facts, learned: Mapping[str, Learned], refused: Refusal
) -> tuple[Refusal, Recalled]:
    """The refusal with what it repeats, and what is needed to remember the attempt after its record."""
    key = key_of(world, facts.request)
    denials = denial.current(_find(tx, key), tx.now)
    attempt = _attempt(world, active, facts, learned)
    recalled = Recalled(key, denials, attempt, facts)
    chain = denials.chain(attempt.link)
    if chain is None:
        return refused, recalled
    repeats = chain.repeats + denial.is_repeat(chain, attempt, facts.now)
    return msgspec.structs.replace(refused, repeat_of=f"{tx.log}/{chain.first}", repeats=repeats), recalled


def note(
    world: World, active: Active, tx: Transaction, recalled: Recalled, refused: Refusal, entry: Entry
) -> tuple[News, ...]:
    """Remember an attempt after its record `entry`; quarantine its key where the limit is reached (S8.3)."""
    facts, schema = recalled.facts, active.policies.schema
    advice = _advice(refused, facts.request, schema)
    after = denial.note(recalled.denials, recalled.attempt, advice, sequence=entry.sequence, now=facts.now)
    if not denial.is_due(after, schema.repeats):
        _put(tx, recalled.key, after)
        return ()
    request = facts.request
    person = f"{request.subject.type}:{request.subject.id}"
    members: dict[str, Json] = {"cause": "repeats", "decision": entry.sequence, "repeats": after.repeats}
    who = {"caller": request.caller, "subject": person, "session": request.session}
    _hold(world, tx, recalled.key, after, members=members, person=person, told=who)
    return (News(QUARANTINED, recalled.key, {**members, "audit_id": f"{tx.log}/{entry.sequence}"}),)


def quarantine(tx: Transaction, who: Act, *, caller: str, subject: Mapping[str, str], session: str) -> str:
    """Quarantine a key by hand, and return it; raises `RulingError` where it is quarantined or names nobody."""
    if not subject.get("type") or not subject.get("id"):
        message = f"expected the `type` and `id` of the subject, found {sorted(subject) or 'nothing'}"
        raise RulingError(message)
    key = _key(who.world, caller, subject["type"], subject["id"], session)
    denials = denial.current(_find(tx, key), tx.now)
    if denials.quarantine is not None:
        message = f"just this is quarantined already, as `{key}`"
        raise RulingError(message, hint="`demur session list` shows what is quarantined")
    person = f"{subject['type']}:{subject['id']}"
    told = {"caller": caller, "subject": person, "session": session}
    by = {"reviewer": who.person.name, "reason": who.reason}
    members: dict[str, Json] = {"cause": "operator", "operator": who.operator}
    # Sealed under the subject's key: whom it is about must be erasable with that person, and the operator's words with
    # the operator.
    operator = f"reviewer:{who.person.name}"
    others = {name: (operator, text.encode("utf-8", "replace")) for name, text in by.items()}
    afresh = msgspec.structs.replace(denials, repeats=0)
    _hold(who.world, tx, key, afresh, members=members, person=person, told=told, others=others)
    return key


def lift(tx: Transaction, who: Act, key: str) -> None:
    """Lift a quarantine; raises `RulingError` where this key has none."""
    denials = _find(tx, key)
    if denials.quarantine is None:
        message = f"expected the key of a quarantined session, found `{key[:64]}`"
        raise RulingError(message, hint="`demur session list` shows those that are quarantined")
    members: dict[str, Json] = {"key": key, "operator": who.operator, "quarantine": denials.quarantine.sequence}
    tx.append(Draft("session_lifted", members, who.seal()))
    _put(tx, key, denial.lift(denials))
    _list(tx, tuple(item for item in _listed(tx) if item != key))


def find(tx: Transaction, vault: Vault) -> tuple[Held, ...]:
    """The quarantined keys, the newest last, with who they are as far as that can be unsealed."""
    found = (show(tx, vault, key) for key in _listed(tx))
    return tuple(item for item in found if item is not None)


def show(tx: Transaction, vault: Vault, key: str) -> Held | None:
    """One quarantined key; `None` where it is not quarantined."""
    held = _find(tx, key).quarantine
    if held is None:
        return None
    sealed = tx.find_sealed(held.sequence)
    try:
        fields = vault.unseal(sealed) if sealed else {}
    except LedgerError:
        fields = {}
    told = {shown: fields[name].decode("utf-8", "replace") for name, shown in _SEALED.items() if name in fields}
    return Held(key=key, since=held.since, repeats=held.repeats, audit_id=f"{tx.log}/{held.sequence}", **told)


def _key(world: World, caller: str, kind: str, name: str, session: str) -> str:
    return world.mark(f"{kind}:{name}", "denial", caller, session)


def _find(tx: Transaction, key: str) -> Denials:
    raw = tx.find_meta(_NAME + key)
    return Denials() if raw is None else _decode(raw[1:])


def _attempt(world: World, active: Active, facts: Facts, learned: Mapping[str, Learned]) -> Attempt:
    """The marks of an attempt. What is confidential is left out: a count must not tell that it changed (S2.3)."""
    request, schema = facts.request, active.policies.schema
    claims = [str(facts.values[slot]) for slot, *_ in active.layout.claims]
    told = {path: item.state for path, item in learned.items() if not _is_confidential(schema, path)}
    return Attempt(
        link=_mark(world, request, "link", denial.link_form(request, schema)),
        exact=_mark(world, request, "exact", request.digest, *claims),
        facts=_mark(world, request, "facts", denial.facts_form(told, active.digest)),
    )


def _is_confidential(schema: Schema, path: str) -> bool:
    return path in schema.facts and schema.facts[path].confidential


def _mark(world: World, request: Request, *parts: str) -> bytes:
    return world.vault.blind_for(request.subject.name, "denial-mark", *parts)[:_MARK_BYTES]


def _advice(refused: Refusal, request: Request, schema: Schema) -> Advice:
    """What the agent was told, and nothing else: what it could not know cannot be held against it."""
    if refused.outcome is Outcome.DEFER:
        return Advice(Disposition.AWAIT_REVIEW)
    offered = refused.offered(Audience.AGENT)
    told = [(item, shown) for item in offered.repairs if (shown := item.to_dict(Audience.AGENT)) is not None]
    instants = [item.earliest for item, shown in told if item.earliest is not None and "earliest" in shown]
    if refused.again is not None:
        instants = [refused.again]
    parts = [part for item, _ in told for part in item.parts]
    may_reword = any(map(_may_reword, parts)) or _offers_same_tool(offered, request, schema)
    return Advice(refused.shown.disposition, min(instants, default=None), may_reword)


def _may_reword(part: Part) -> bool:
    """Whether an attempt with this part different may be linked to the one that was refused."""
    if part.kind is Kind.AWAIT:
        return False
    is_argument = part.kind is Kind.CHANGE and part.path.startswith("action.")
    return not (is_argument and (part.is_left_out or isinstance(part.value, (int, float))))


def _offers_same_tool(offered: Remedies, request: Request, schema: Schema) -> bool:
    told = (item.action for item in offered.alternatives if item.to_dict(Audience.AGENT) is not None)
    asked = denial.tool(request.action, schema)
    return any(denial.tool(action, schema) == asked for action in told)


def _hold(
    world: World,
    tx: Transaction,
    key: str,
    denials: Denials,
    *,
    members: Mapping[str, Json],
    person: str,
    told: Mapping[str, str],
    others: Mapping[str, tuple[str, bytes]] = _NOBODY,
) -> None:
    """Record that the key is quarantined from now on, and keep it so."""
    fields = {name: text.encode("utf-8", "replace") for name, text in told.items() if text}
    sealed = world.vault.seal(person, "", fields, others)
    entry = tx.append(Draft("session_quarantined", {"key": key, **members}, sealed))
    _put(tx, key, denial.quarantine(denials, sequence=entry.sequence, now=tx.now))
    _list(tx, (*_listed(tx), key)[-MAX_LISTED:])


def _put(tx: Transaction, key: str, denials: Denials) -> None:
    tx.put_meta(_NAME + key, (_HELD if denials.quarantine else _FREE) + _encode(denials))


def _listed(tx: Transaction) -> tuple[str, ...]:
    raw = tx.find_meta(_LIST)
    return () if raw is None else tuple(_decode_keys(raw))


def _list(tx: Transaction, keys: tuple[str, ...]) -> None:
    tx.put_meta(_LIST, _encode(keys))
