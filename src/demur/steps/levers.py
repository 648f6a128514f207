"""The operator's levers: turn a stop on and off, break glass and end it; refuse what a stop covers.

- Every act takes the credential of a person with the role `operator`, and a reason. There is no ambient default.
- The levers are one value of the store, read under the append lock for every request and every redemption, so a stop
  holds from its record on, also after a restart (S12).
- Each step is a record: `stop_on`, `stop_off`, `glass_opened`, `glass_used`, `glass_ended`, and `blocked` for a request
  that a stop refused. Reason, person and whom it is about are sealed; a record of the leaf names pseudonyms alone.
- An opening that ended by itself is recorded by whatever looks at the levers next, with the time at which it ended.

Clauses: S12, S7.4.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, lever, refusal
from demur.core.lever import Levers, Opening, Stop
from demur.core.record import Draft
from demur.core.refusal import Reason
from demur.core.terms import Bar, Category, Disposition
from demur.errors import LedgerError, RulingError
from demur.steps.telling import News

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.core.record import Json, Sealed
    from demur.core.refusal import Refusal
    from demur.core.resolution import Facts
    from demur.core.review import Reviewer
    from demur.core.terms import Request
    from demur.ports import Transaction, Vault
    from demur.steps.world import Active, World

META = "levers"
_encode = msgspec.msgpack.Encoder().encode
_decode = lru_cache(maxsize=8)(msgspec.msgpack.Decoder(Levers).decode)


@dataclass(frozen=True, slots=True)
class Act:
    """One operator, known by credential, who does something for a reason."""

    world: World
    person: Reviewer
    reason: str

    @property
    def operator(self) -> str:
        """The person's pseudonym, the same as in their rulings on reviews."""
        return self.world.mark(f"reviewer:{self.person.name}", "reviewer")

    def seal(self, *, about: str = "", person: str = "", **more: str) -> Sealed:
        """Who did it, why, and about whom: only for those who may unseal. Each of the two can be erased alone.

        `person` is whose key what is said about somebody is locked under, where `about` is not that itself.
        """
        told = {"reviewer": self.person.name, "reason": self.reason, **{k: v for k, v in more.items() if v}}
        fields = {name: text.encode("utf-8", "replace") for name, text in told.items()}
        others = {"about": (person or about, about.encode("utf-8", "replace"))} if about else {}
        return self.world.vault.seal(f"reviewer:{self.person.name}", "", fields, others)

    def news(self, kind: str, subject: str, /, **more: Json) -> News:
        """What is told of the act to those who listen."""
        return News(kind, subject, {"operator": self.operator, **{name: item for name, item in more.items() if item}})


def act(world: World, credential: str, reason: str) -> Act:
    """Who acts; raises `RulingError` for a credential that nobody holds, or whose holder is no operator."""
    person = world.reviewers.identify(credential)
    if lever.ROLE not in person.roles:
        message = f"expected a person with the role `{lever.ROLE}`, found `{person.name}` without it"
        raise RulingError(message, hint=f"`demur reviewer add NAME --role {lever.ROLE}` issues a credential")
    return Act(world, person, reason)


def read(tx: Transaction) -> Levers:
    """The levers as they stand, those included whose time has passed since anybody looked."""
    raw = tx.find_meta(META)
    return lever.NONE if raw is None else _decode(raw)


def current(tx: Transaction) -> Levers:
    """The levers as they stand now, under the append lock: what ended by itself is recorded and gone."""
    levers = read(tx)
    if not levers.openings:
        return levers
    for opening in lever.ended(levers, tx.now):
        tx.append(Draft("glass_ended", {"break_glass": opening.id, "cause": "time", "until": str(opening.until)}))
        levers = lever.without_opening(levers, opening.id)
        _put(tx, levers)
    return levers


def kill(
    tx: Transaction, active: Active, who: Act, *, actions: Collection[str], actor: Mapping[str, str] | None
) -> Stop:
    """Turn a stop on; raises `RulingError` where it is on already or is about nothing."""
    wanted = lever.check_actions(actions, active.policies.schema.actions)
    stop = Stop(
        id=secrets.token_hex(8), since=tx.now, operator=who.operator, actions=wanted, actor=_whom(who, "actor", actor)
    )
    levers = lever.with_stop(current(tx), stop)
    members: dict[str, Json] = {
        "stop": stop.id,
        "operator": stop.operator,
        "scope": "some" if wanted or stop.actor else "all",
        "actions": [evidence.token(pattern) for pattern in wanted],
    }
    if stop.actor:
        members["actor"] = stop.actor
    entry = tx.append(Draft("stop_on", members, who.seal(actions=" ".join(wanted), about=_named(actor))))
    stop = msgspec.structs.replace(stop, sequence=entry.sequence)
    _put(tx, msgspec.structs.replace(levers, stops=(*levers.stops[:-1], stop)))
    return stop


def release(tx: Transaction, who: Act, stop_id: str) -> None:
    """Turn a stop off; raises `RulingError` where it is not on."""
    levers = lever.without_stop(current(tx), stop_id)
    tx.append(Draft("stop_off", {"stop": stop_id, "operator": who.operator}, who.seal()))
    _put(tx, levers)


def break_glass(
    tx: Transaction, active: Active, who: Act, *, subject: Mapping[str, str], actions: Collection[str], seconds: int
) -> Opening:
    """Break glass for one subject; raises `RulingError` where that is too long or about nothing."""
    wanted = lever.check_actions(actions, active.policies.schema.actions)
    opening = Opening(
        id=secrets.token_hex(8),
        opened_at=tx.now,
        until=tx.now.plus(lever.check_seconds(seconds)),
        operator=who.operator,
        subject=_whom(who, "subject", subject),
        actions=wanted,
    )
    levers = lever.with_opening(current(tx), opening)
    members: dict[str, Json] = {
        "break_glass": opening.id,
        "operator": opening.operator,
        "subject": opening.subject,
        "actions": [evidence.token(pattern) for pattern in wanted],
        "until": str(opening.until),
    }
    entry = tx.append(Draft("glass_opened", members, who.seal(actions=" ".join(wanted), about=_named(subject))))
    opening = msgspec.structs.replace(opening, sequence=entry.sequence)
    _put(tx, msgspec.structs.replace(levers, openings=(*levers.openings[:-1], opening)))
    return opening


def end(tx: Transaction, who: Act, opening_id: str) -> None:
    """End an opening before its time; raises `RulingError` where it has ended."""
    levers = lever.without_opening(current(tx), opening_id)
    members: dict[str, Json] = {"break_glass": opening_id, "cause": "operator", "operator": who.operator}
    tx.append(Draft("glass_ended", members, who.seal()))
    _put(tx, levers)


def block(world: World, active: Active, tx: Transaction, facts: Facts) -> Refusal | None:
    """The recorded refusal of a request that a stop covers; `None` where none does."""
    request = facts.request
    stop = read(tx).stop_of(request.action, actor_of(world, request))
    if stop is None:
        return None
    refused = stopped(active, tx, request)
    kept = evidence.fields(facts, active.policies.schema, refused, {})
    sealed = world.seal(request, kept)
    members: dict[str, Json] = {
        "stop": stop.id,
        "refusal_category": refused.reason.category.value,
        "policy_version": active.digest,
        "requesting_entity": {
            "subject": sealed.key_id,
            "actor": actor_of(world, request),
            "caller": world.pseudonym("caller", request.caller),
        },
    }
    entry = tx.append(Draft("blocked", members, sealed))
    return msgspec.structs.replace(refused, audit_id=f"{tx.log}/{entry.sequence}")


def stopped(active: Active, tx: Transaction, request: Request) -> Refusal:
    """What is said of a request that a stop covers."""
    reason, documents = Reason(Category.STATE_CONFLICT, Disposition.WAIT), active.policies.documents
    return refusal.barred(
        Bar.STOPPED,
        reason,
        request,
        active.policies.schema,
        locale=documents.locale,
        policy_version=active.digest,
        as_of=tx.now,
    )


def actor_of(world: World, request: Request) -> str:
    """The actor's pseudonym, as records name it."""
    return world.mark(request.actor.name, "actor")


def opening_for(world: World, tx: Transaction, request: Request) -> Opening | None:
    """The opening that this request may use; records on the way what ended by itself."""
    levers = current(tx)
    if not levers.openings:
        return None
    subject = world.mark(request.subject.name, "subject")
    return levers.opening_of(request.action, subject, tx.now)


def describe(tx: Transaction, vault: Vault) -> list[dict[str, object]]:
    """What is on and open, for operators, with who did it and why as far as that can be unsealed."""
    levers, now = read(tx), tx.now
    stops: list[dict[str, object]] = [
        {"lever": "stop", "id": stop.id, "since": str(stop.since), "actions": list(stop.actions)}
        | _unsealed(tx, vault, stop.sequence)
        for stop in levers.stops
    ]
    return stops + [
        {"lever": "break_glass", "id": item.id, "since": str(item.opened_at), "actions": list(item.actions)}
        | {"until": str(item.until), **_unsealed(tx, vault, item.sequence)}
        for item in levers.openings
        if now < item.until
    ]


def _unsealed(tx: Transaction, vault: Vault, sequence: int) -> dict[str, object]:
    sealed = tx.find_sealed(sequence)
    try:
        fields = vault.unseal(sealed) if sealed else {}
    except LedgerError:
        fields = {}
    told = {"reviewer": "operator", "reason": "reason", "about": "about"}
    return {shown: fields[name].decode("utf-8", "replace") for name, shown in told.items() if name in fields}


def _whom(who: Act, kind: str, entity: Mapping[str, str] | None) -> str:
    if entity is None:
        return ""
    if not entity.get("type") or not entity.get("id"):
        message = f"expected the `type` and `id` of the {kind}, found {sorted(entity) or 'nothing'}"
        raise RulingError(message)
    return who.world.mark(_named(entity), kind)


def _named(entity: Mapping[str, str] | None) -> str:
    return f"{entity['type']}:{entity['id']}" if entity else ""


def _put(tx: Transaction, levers: Levers) -> None:
    tx.put_meta(META, _encode(levers))
