"""All that is kept about one person, for that person: a data subject's access.

- Every record that is sealed under the person's keys, unsealed; and of the records of others, those that name the
  person by a pseudonym, with what is locked under the person's keys and nothing else.
- The grants and reviews of these records as they stand now. Counters hold the amounts of these grants and a digest
  of whom they count, and nothing that is not in the records.
- Times are RFC 3339 in UTC. Bytes that are no text stand as base64.

Clauses: S5.4, S5.5.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from demur.errors import ForgottenError, RulingError
from demur.steps import forgetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demur.ports import StoredRecord, Transaction, Vault
    from demur.steps.forgetting import Archive


def export(store: Archive, vault: Vault, person: str) -> dict[str, object]:
    """What is kept about `type:id`; raises `RulingError` where nothing is, and `StoreError` and `LedgerError`."""
    keys = vault.key_ids(person)
    if not keys:
        message = f"expected a person about whom something is kept, found `{person[:80]}`"
        raise RulingError(message, hint="persons go by type and id, such as `user:ann`; one who was erased is unknown")
    head = store.read(lambda tx: (tx.log, tx.now, tx.head.size))
    marks = [*keys, *(vault.blind_for(person, name).hex()[:32] for name in forgetting.NAMES)]
    own = {sequence for sequence, key_id in forgetting.sealed_under(store, head[2]) if key_id in keys}
    named = [mark.encode() for mark in marks]
    leaves: list[dict[str, object]] = []
    records: list[dict[str, object]] = []
    for record in store.records(0, head[2]):
        if record.sequence in own or any(mark in record.leaf for mark in named):
            leaf = json.loads(record.leaf)
            leaves.append(leaf)
            records.append(_told(store, vault, record, leaf, about="" if record.sequence in own else person))
    return {
        "subject": person,
        "log": head[0],
        "as_of": str(head[1]),
        "keys": list(keys),
        "records": records,
        "grants": store.read(lambda tx: _grants(tx, leaves)),
        "reviews": store.read(lambda tx: _reviews(tx, leaves)),
    }


def _told(
    store: Archive, vault: Vault, record: StoredRecord, leaf: Mapping[str, object], *, about: str
) -> dict[str, object]:
    sealed = store.read(lambda tx: tx.find_sealed(record.sequence))
    told: dict[str, object] = {
        "sequence": record.sequence,
        "timestamp": leaf.get("timestamp", ""),
        "type": leaf.get("type", ""),
        "record_hash": record.record_hash.hex(),
        "leaf": leaf,
    }
    if sealed is None:
        return told
    try:
        fields = vault.unseal(sealed, about)
    except ForgottenError:
        return told | {"sealed": "destroyed"}
    return told | {"sealed": {name: plain(value) for name, value in fields.items()}}


def plain(value: bytes) -> object:
    """A sealed value for people: JSON as it is, MessagePack as JSON, text, else base64."""
    for read in (json.loads, _unpacked, bytes.decode):
        try:
            found: object = read(value)
        except (ValueError, msgspec.DecodeError):
            continue
        return found
    return msgspec.to_builtins(value)


def _unpacked(value: bytes) -> object:
    found = msgspec.msgpack.decode(value)
    if not isinstance(found, (list, dict)):
        message = "text may begin like a number in MessagePack"
        raise ValueError(message)  # noqa: TRY004  (whoever asked tries the next form)
    return msgspec.to_builtins(
        [plain(item) if isinstance(item, bytes) else item for item in found] if isinstance(found, list) else found
    )


def _grants(tx: Transaction, leaves: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    found = (tx.find_grant(grant_id) for grant_id in _ids(leaves, "grant"))
    return [
        {"grant": row.id, "decision": row.sequence, "state": row.state, "expires_at": str(row.expires_at)}
        for row in found
        if row is not None
    ]


def _reviews(tx: Transaction, leaves: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    found = (tx.find_review(review_id) for review_id in _ids(leaves, "review"))
    return [
        {"review": row.id, "decision": row.sequence, "state": row.state, "deadline": str(row.deadline)}
        for row in found
        if row is not None
    ]


def _ids(leaves: Iterable[Mapping[str, object]], name: str) -> list[str]:
    return list(dict.fromkeys(str(leaf[name]) for leaf in leaves if name in leaf))
