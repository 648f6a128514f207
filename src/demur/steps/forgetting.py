"""Erase a person: destroy the keys under which everything about them is sealed, and leave the ledger as it is.

1. Under the append lock: no hold forbids it. The erasure is recorded, and its keys stand in the list of erased keys;
   from here on, whatever happens, it will be carried out.
2. Under the append lock, so that nothing is sealed meanwhile: the keys are destroyed. Decisions about the same person
   from now on get a fresh key. The grants and reviews that rest on what was sealed are worth nothing.
3. Once no copy of the keys is left, how many records it took is counted, outside the lock, and recorded.

Steps 2 and 3 are taken again by the next call, the closing and the next opening, until the last copy is gone. A key
that is on the list of erased keys and is here all the same came from an old copy of the store of keys; opening destroys
it again, before anything is read.

Clauses: S5.5, S12.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from demur.core import forgetting
from demur.core.forgetting import Book, Erasure, ErasureState, Hold
from demur.core.record import Draft
from demur.errors import LedgerError, RulingError
from demur.steps import levers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demur.core.record import Json
    from demur.ports import StoredRecord, Transaction, Vault
    from demur.steps.levers import Act
    from demur.steps.session import Session
    from demur.steps.world import World

T = TypeVar("T")

META = "forgetting"
ERASED = "forgetting.erased."
"""Followed by a number: the erased keys, so many in each."""
NAMES = ("actor", "subject", "reviewer")
"""As what a leaf may name a person, by a pseudonym each."""
RESTORED = "restored"
"""The manifest of the copy that a store was made from, until its first opening."""
KEYS_A_PAGE = 1_000
RECORDS_A_PAGE = 1_000
"""How many are read at a time, so that no reader stands in the way for long."""
BLOCKED = "somebody who reads the store of keys keeps a copy of the keys in its write-ahead log"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Book).decode
_decode_keys = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class _Copy(msgspec.Struct):
    """What a restored store tells of the copy it came from."""

    size: int
    head: str
    root: str
    created: str


_copies = msgspec.json.Decoder(_Copy)


class Archive(Protocol):
    """What is read of a store, whether a gate has it open or only a reader."""

    def read(self, query: Callable[[Transaction], T]) -> T: ...
    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]: ...


def read(tx: Transaction) -> Book:
    """The erasures under way and the holds in force."""
    raw = tx.find_meta(META)
    return forgetting.EMPTY if raw is None else _decode(raw)


def erased(tx: Transaction) -> Iterator[str]:
    """Every key that was ever erased, the oldest first."""
    for page in range(-(-read(tx).erased // KEYS_A_PAGE)):
        yield from _page(tx, page)


def note(session: Session, who: Act, person: str) -> Erasure:
    """Step 1; raises `RulingError` where a hold or a lever is about the person, or nothing is kept."""
    tx, vault = session.tx, session.world.vault
    keys, about = vault.key_ids(person), vault.blind("erasing", person).hex()[:32]
    book = read(tx)
    if not keys and (known := forgetting.pending_about(book, about)) is not None:
        return known
    if not keys:
        message = f"expected a person about whom something is kept, found `{person[:80]}`"
        raise RulingError(message, hint="persons go by type and id, such as `user:ann`; one who was erased is unknown")
    if (hold := forgetting.hold_on(book, keys)) is not None:
        raise RulingError(f"a legal hold keeps this person's records: {describe_hold(tx, vault, hold)}", hint=_RELEASE)
    _check_levers(session, person)
    erasure = Erasure(id=secrets.token_hex(8), keys=keys, sequence=0, since=tx.now, about=about)
    members: dict[str, Json] = {"erasure": erasure.id, "keys": list(keys), "operator": who.operator}
    entry = tx.append(Draft("erasure", members, who.seal()))
    erasure = msgspec.structs.replace(erasure, sequence=entry.sequence)
    _add_erased(tx, book.erased, keys)
    _put(tx, forgetting.with_pending(book, erasure))
    return erasure


def destroy(session: Session, erasure: Erasure) -> bool:
    """Step 2; whether no copy of the keys is left."""
    return session.world.vault.destroy(erasure.keys)


def finish(session: Session, erasure: Erasure, records: int) -> Erasure:
    """Step 3; another call may have been first, and then nothing happens."""
    tx, book = session.tx, read(session.tx)
    done = msgspec.structs.replace(erasure, state=ErasureState.COMPLETED, about="", records=records)
    if any(item.id == erasure.id for item in book.pending):
        tx.append(Draft("erasure_completed", {"erasure": erasure.id, "records": records}))
        _put(tx, forgetting.without_pending(book, erasure.id))
    return done


def count(world: World, erasure: Erasure) -> int:
    """How many records are sealed under the keys of an erasure. Reads the whole ledger, beside whoever writes."""
    keys = frozenset(erasure.keys)
    size = world.store.read(lambda tx: tx.head).size
    return sum(key_id in keys for _, key_id in sealed_under(world.store, size))


def sealed_under(store: Archive, last: int) -> Iterator[tuple[int, str]]:
    """The number of each record below `last` with sealed values, and the key that they are sealed under."""
    for first in range(0, last, RECORDS_A_PAGE):
        yield from store.read(partial(_sealed_within, range(first, min(first + RECORDS_A_PAGE, last))))


def _sealed_within(page: range, tx: Transaction) -> list[tuple[int, str]]:
    return [(number, found.key_id) for number in page if (found := tx.find_sealed(number)) is not None]


def returned(session: Session) -> int:
    """Destroy keys again that an old copy of the store of keys brought back, and record how many they were."""
    vault = session.world.vault
    back = [key_id for key_id in erased(session.tx) if vault.holds_key(key_id)]
    under_way = {key_id for item in read(session.tx).pending for key_id in item.keys}
    vault.destroy(back)
    if strange := [key_id for key_id in back if key_id not in under_way]:
        session.tx.append(Draft("erasure_repeated", {"keys": len(strange), "cause": "restore"}))
    return len(strange)


def restored(session: Session) -> None:
    """Record, at the first opening, that this store was made from a copy, and from which."""
    tx = session.tx
    raw = tx.find_meta(RESTORED)
    if raw:
        copy = _copies.decode(raw)
        members: dict[str, Json] = {"size": copy.size, "head": copy.head, "root": copy.root, "created": copy.created}
        tx.append(Draft("restored", members))
        tx.put_meta(RESTORED, b"")


def hold(session: Session, who: Act, person: str) -> Hold:
    """Place a legal hold on a person; raises `RulingError` where there are too many."""
    tx, world = session.tx, session.world
    world.mark(person)  # whoever is held has a key from now on, so that what is sealed next is held too
    (key,) = world.vault.key_ids(person)
    marks = tuple(world.mark(person, name) for name in NAMES)
    placed = Hold(id=secrets.token_hex(8), key=key, since=tx.now, operator=who.operator, marks=marks)
    book = forgetting.with_hold(read(tx), placed)
    members: dict[str, Json] = {"hold": placed.id, "key": key, "operator": who.operator}
    entry = tx.append(Draft("hold_placed", members, who.seal(about=person)))
    placed = msgspec.structs.replace(placed, sequence=entry.sequence)
    _put(tx, msgspec.structs.replace(book, holds=(*book.holds[:-1], placed)))
    return placed


def release(session: Session, who: Act, hold_id: str) -> None:
    """End a legal hold; raises `RulingError` where it is not in force."""
    tx = session.tx
    book = forgetting.without_hold(read(tx), hold_id)
    tx.append(Draft("hold_released", {"hold": hold_id, "operator": who.operator}, who.seal()))
    _put(tx, book)


def describe(tx: Transaction, vault: Vault) -> list[dict[str, object]]:
    """The holds in force and the erasures under way, for operators."""
    book = read(tx)
    holds: list[dict[str, object]] = [
        {"hold": item.id, "since": str(item.since), "key": item.key, **_unsealed(tx, vault, item.sequence)}
        for item in book.holds
    ]
    return holds + [
        {"erasure": item.id, "since": str(item.since), "keys": list(item.keys), "state": item.state.value}
        for item in book.pending
    ]


def describe_hold(tx: Transaction, vault: Vault, hold: Hold) -> str:
    """The hold by its id, with the reason as far as that can be unsealed."""
    why = _unsealed(tx, vault, hold.sequence).get("reason", "")
    return f"`{hold.id}` since {hold.since}" + (f" ({why})" if why else "")


_RELEASE = "`demur subject release HOLD` ends it"


def _check_levers(session: Session, person: str) -> None:
    """A lever finds whom it is about by a name that erasing makes meaningless; it must not be lifted by the way."""
    standing = levers.current(session.tx)
    marks = {session.world.mark(person, "actor"), session.world.mark(person, "subject")}
    named = [item.id for item in standing.stops if item.actor in marks]
    named += [item.id for item in standing.openings if item.subject in marks]
    if named:
        message = f"expected no lever about this person, found `{named[0]}`"
        raise RulingError(message, hint="release the stop, or end the opening, and erase then")


def _unsealed(tx: Transaction, vault: Vault, sequence: int) -> dict[str, object]:
    sealed = tx.find_sealed(sequence)
    try:
        fields = vault.unseal(sealed) if sealed else {}
    except LedgerError:
        fields = {}
    told = {"reviewer": "operator", "reason": "reason", "about": "subject"}
    return {shown: fields[name].decode("utf-8", "replace") for name, shown in told.items() if name in fields}


def _add_erased(tx: Transaction, before: int, keys: tuple[str, ...]) -> None:
    for number, key in enumerate(keys, before):
        page = number // KEYS_A_PAGE
        tx.put_meta(f"{ERASED}{page}", _encode((*_page(tx, page), key)))


def _page(tx: Transaction, page: int) -> tuple[str, ...]:
    raw = tx.find_meta(f"{ERASED}{page}")
    return () if raw is None else _decode_keys(raw)


def _put(tx: Transaction, book: Book) -> None:
    tx.put_meta(META, _encode(book))
