"""Destroy what was sealed once the period of its class has ended, and leave the ledger as it is.

1. Under the append lock: which classes, which records of which time, and who ordered it are recorded, and that this is
   under way. From here on, whatever happens, verification knows why values are gone.
2. Page by page: what has ended is looked for beside whoever writes; then, under the append lock, what nobody needs and
   no hold protects is destroyed, and how far that went is kept with the counts.
3. Once nobody who reads keeps a copy, the counts are recorded.

Steps 2 and 3 are taken up again by the next call where they were interrupted. What is needed longer stays until a later
call: the action of a live grant, a review that waits, an approval that still counts, what a quarantine rests on.

Clauses: S5.5, S12.
"""

from __future__ import annotations

import json
import secrets
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from demur.core import retention
from demur.core.grant import GrantState
from demur.core.record import Draft
from demur.core.retention import RetentionClass
from demur.core.review import OPEN, Review, ReviewState
from demur.core.terms import Timestamp
from demur.steps import denials, forgetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.record import Json
    from demur.ports import Transaction, Vault
    from demur.steps.forgetting import Archive
    from demur.steps.levers import Act
    from demur.steps.session import Session

META = "retention"
COPIES = "store.copies"
PAGE = 500
"""Records looked at, and at most destroyed, at a time."""
_WAITING = {*OPEN, ReviewState.APPROVED, ReviewState.RESERVED}
_Leaf = dict[str, object]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """One act of ending: what it ends, how far it went, and how many records of each class it took."""

    id: str
    since: Timestamp
    size: int
    classes: tuple[RetentionClass, ...]
    next: int = 0
    counts: dict[str, int] = {}
    held: int = 0
    """Records that have ended and stay because a hold protects them."""
    needed: int = 0
    """Records that have ended and stay because the gate still needs them."""
    state: str = "pending"
    """`pending` until the last copy is gone, then `completed`; `planned` for a trial."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Retention).decode
_reviews = msgspec.msgpack.Decoder(Review)


def under_way(tx: Transaction) -> Retention | None:
    """The act that was begun and not completed."""
    raw = tx.find_meta(META)
    return _decode(raw) if raw else None


def begin(session: Session, who: Act, classes: tuple[RetentionClass, ...]) -> Retention:
    """Step 1; an act that was interrupted is taken up instead, whatever is asked for now."""
    tx = session.tx
    if (found := under_way(tx)) is not None:
        return found
    begun = Retention(id=secrets.token_hex(8), since=tx.now, size=tx.head.size, classes=classes)
    if begun.size == 0:
        return begun
    members: dict[str, Json] = {
        "retention": begun.id,
        "operator": who.operator,
        "first": 0,
        "last": begun.size - 1,
        "classes": retention.told(classes, tx.now),
    }
    tx.append(Draft("retention", members, who.seal()))
    tx.put_meta(META, _encode(begun))
    return begun


def ended(tx: Transaction, act: Retention) -> list[tuple[_Leaf, str]]:
    """The records of the next page that have ended and still have sealed values, each with its class."""
    found: list[tuple[_Leaf, str]] = []
    for sequence in range(act.next, min(act.next + PAGE, act.size)):
        record = tx.find_record(sequence)
        leaf = json.loads(record.leaf) if record else {}
        item = retention.ended(leaf, act.classes, act.since)
        sealed = tx.find_sealed(sequence) if item else None
        if item is not None and sealed is not None and sealed.ciphertext:
            found.append((leaf, item.name))
    return found


def look(store: Archive, act: Retention) -> list[tuple[_Leaf, str]]:
    """As `ended`, beside whoever writes."""
    return store.read(partial(ended, act=act))


def destroy(session: Session, act: Retention, found: list[tuple[_Leaf, str]]) -> Retention:
    """Step 2 for one page; what another call did meanwhile is not done twice."""
    tx = session.tx
    current = under_way(tx)
    if current is None:
        return msgspec.structs.replace(act, next=act.size)
    if (current.id, current.next) != (act.id, act.next):
        return current
    gone, after = judge(tx, session.world.vault, act, found)
    tx.forget_sealed(gone)
    tx.put_meta(META, _encode(after))
    return after


def judge(tx: Transaction, vault: Vault, act: Retention, found: list[tuple[_Leaf, str]]) -> tuple[list[int], Retention]:
    """Which of the records on this page may be destroyed now, and the act after it."""
    protected, quarantined = _held_names(tx), _quarantined(tx, vault)
    counts, held, needed = dict(act.counts), act.held, act.needed
    gone: list[int] = []
    for leaf, name in found:
        sequence = int(str(leaf["sequence"]))
        sealed = tx.find_sealed(sequence)
        text = json.dumps(leaf)
        if sealed is not None and (sealed.key_id in protected or any(mark in text for mark in protected)):
            held += 1
        elif sequence in quarantined or _is_needed(tx, leaf):
            needed += 1
        else:
            gone.append(sequence)
            counts[name] = counts.get(name, 0) + 1
    after = min(act.next + PAGE, act.size)
    return gone, msgspec.structs.replace(act, next=after, counts=counts, held=held, needed=needed)


def plan(store: Archive, vault: Vault, classes: tuple[RetentionClass, ...]) -> Retention:
    """What an act would take by now; destroys and records nothing."""

    def page(tx: Transaction, act: Retention) -> Retention:
        return judge(tx, vault, act, ended(tx, act))[1]

    act = store.read(lambda tx: Retention(id="", since=tx.now, size=tx.head.size, classes=classes, state="planned"))
    while act.next < act.size:
        act = store.read(partial(page, act=act))
    return act


def scrub(session: Session) -> None:
    """Ask the store once more for no copy to stay."""
    session.tx.forget_sealed(())


def finish(session: Session, act: Retention) -> Retention:
    """Step 3; the act as it stands."""
    tx, current = session.tx, under_way(session.tx)
    if current is not None and current.id == act.id:
        if tx.find_meta(COPIES):
            return current
        counts: list[Json] = [{"class": name, "records": count} for name, count in sorted(act.counts.items())]
        members: dict[str, Json] = {"retention": act.id, "last": act.size - 1, "counts": counts}
        tx.append(Draft("retention_completed", {**members, "held": act.held, "needed": act.needed}))
        tx.put_meta(META, b"")
    return msgspec.structs.replace(act, state="completed")


def _held_names(tx: Transaction) -> set[str]:
    """The pseudonyms of everybody under a legal hold."""
    return {name for hold in forgetting.read(tx).holds for name in (hold.key, *hold.marks)}


def _quarantined(tx: Transaction, vault: Vault) -> set[int]:
    """The decisions that open quarantines rest on."""
    found: set[int] = set()
    for held in denials.find(tx, vault):
        record = tx.find_record(int(held.audit_id.rpartition("/")[2]))
        decision = json.loads(record.leaf).get("decision") if record else None
        found |= {decision} if isinstance(decision, int) else set()
    return found


def _is_needed(tx: Transaction, leaf: Mapping[str, object]) -> bool:
    grant = tx.find_grant(str(leaf["grant"])) if "grant" in leaf else None
    if grant is not None and grant.state == GrantState.LIVE and grant.expires_at > tx.now:
        return True
    row = tx.find_review(str(leaf["review"])) if "review" in leaf else None
    return row is not None and _is_waiting(_reviews.decode(row.body), tx.now)


def _is_waiting(review: Review, now: Timestamp) -> bool:
    """Whether anything still comes of a review: one that is reserved comes back if its grant is not used in time."""
    is_late = review.approved_until is not None and now >= review.approved_until
    return review.state_at(now) in _WAITING and not (review.state is ReviewState.RESERVED and is_late)
