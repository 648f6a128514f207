"""Delegations: a person lends review roles to another until an instant, and anybody concerned ends that.

- Each step is a record: `delegation_opened`, and `delegation_closed` with its cause. Names, roles and the reason are
  sealed; the leaf names pseudonyms.
- What a delegation is worth is found out when it is used: the lender must still hold the roles, and be known.

Clauses: S5.5, S7.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from demur.core import delegation, lever
from demur.core.delegation import Book, Delegation, Loan
from demur.core.record import Draft
from demur.errors import LedgerError, RulingError

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.core.record import Json
    from demur.core.review import Reviewer
    from demur.core.terms import Timestamp
    from demur.ports import Transaction, Vault
    from demur.steps.levers import Act
    from demur.steps.session import Session
    from demur.steps.world import World

META = "delegations"
_encode = msgspec.msgpack.Encoder().encode
_books = msgspec.msgpack.Decoder(Book)


def read(tx: Transaction) -> Book:
    """What is lent, those included that have ended by themselves since anybody looked."""
    raw = tx.find_meta(META)
    return delegation.NONE if raw is None else _books.decode(raw)


def lend(session: Session, who: Act, to: Reviewer, roles: Collection[str], until: Timestamp) -> Delegation:
    """Lend `who`'s roles to a person, all that may be lent where none is named; raises `RulingError`."""
    tx, world = session.tx, session.world
    held = who.person.roles - {lever.ROLE}
    wanted = Delegation(
        id=secrets.token_hex(8),
        lender=who.operator,
        delegate=world.mark(f"reviewer:{to.name}", "reviewer"),
        roles=tuple(sorted(set(roles) or held)),
        opened_at=tx.now,
        until=until,
    )
    end_due(tx)
    book = delegation.lend(read(tx), wanted, held)
    members: dict[str, Json] = {
        "delegation": wanted.id,
        "lender": wanted.lender,
        "delegate": wanted.delegate,
        "roles": len(wanted.roles),
        "until": str(until),
    }
    sealed = who.seal(person=f"reviewer:{to.name}", about=to.name, roles=" ".join(wanted.roles))
    entry = tx.append(Draft("delegation_opened", members, sealed))
    kept = msgspec.structs.replace(wanted, sequence=entry.sequence)
    _put(tx, Book((*book.items[:-1], kept)))
    return kept


def end(session: Session, who: Act, delegation_id: str) -> None:
    """End a delegation before its time; raises `RulingError` where it is not in force or is none of theirs."""
    tx = session.tx
    end_due(tx)
    book = read(tx)
    found = book.find(delegation_id)
    if who.operator not in {found.lender, found.delegate} and lever.ROLE not in who.person.roles:
        message = f"expected one of the two that the delegation is between, or an operator, found `{who.person.name}`"
        raise RulingError(message)
    members: dict[str, Json] = {"delegation": found.id, "cause": "ended", "by": who.operator}
    tx.append(Draft("delegation_closed", members, who.seal()))
    _put(tx, delegation.end(book, found.id))


def end_due(tx: Transaction) -> None:
    """Record the delegations that have ended by themselves, each once."""
    book = read(tx)
    for one in book.ended(tx.now):
        tx.append(Draft("delegation_closed", {"delegation": one.id, "cause": "time", "until": str(one.until)}))
        book = delegation.end(book, one.id)
        _put(tx, book)


def loans(world: World, person: Reviewer) -> tuple[Loan, ...]:
    """What is lent to this person, with what the lenders hold by now; raises `StoreError`.

    Outside the lock, since people are looked up. Whoever uses one asks again, under the lock, whether it is in force.
    """
    mine = world.mark(f"reviewer:{person.name}", "reviewer")
    lent = world.store.read(lambda tx: [(one, _names(tx, world.vault, one)) for one in read(tx).lent_to(mine, tx.now)])
    found = [(one, world.reviewers.named(names["lender"])) for one, names in lent if names.get("lender")]
    return tuple(
        Loan(delegation=one.id, lender=lender.name, pseudonym=one.lender, roles=lender.roles.intersection(one.roles))
        for one, lender in found
        if lender is not None
    )


def usable(tx: Transaction, lent: Collection[Loan]) -> tuple[Loan, ...]:
    """Those of the loans that are in force under the lock."""
    if not lent:
        return ()
    ids = {one.id for one in read(tx).items if one.is_in_force(tx.now)}
    return tuple(one for one in lent if one.delegation in ids)


def describe(tx: Transaction, vault: Vault) -> list[dict[str, object]]:
    """What is lent, with names and reason as far as they can be unsealed."""
    return [
        {
            "delegation_id": one.id,
            **_names(tx, vault, one),
            "roles": list(one.roles),
            "since": str(one.opened_at),
            "until": str(one.until),
        }
        for one in read(tx).items
        if one.is_in_force(tx.now)
    ]


def _names(tx: Transaction, vault: Vault, one: Delegation) -> dict[str, str]:
    sealed = tx.find_sealed(one.sequence)
    try:
        fields = vault.unseal(sealed) if sealed else {}
    except LedgerError:
        fields = {}
    told = {"reviewer": "lender", "about": "delegate", "reason": "reason"}
    return {shown: fields[name].decode("utf-8", "replace") for name, shown in told.items() if name in fields}


def _put(tx: Transaction, book: Book) -> None:
    tx.put_meta(META, _encode(book))
