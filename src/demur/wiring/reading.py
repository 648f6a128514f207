"""A home opened for reading only, also while a gate runs on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters.keys import KeyVault
from demur.adapters.sqlite import SqliteReader
from demur.adapters.zones import TzdataZones
from demur.core import retention
from demur.core.policy.compiled import CompiledError, decode_compiled
from demur.core.policy.index import PolicySet
from demur.core.policy.recheck import altered
from demur.errors import ConfigurationError, LedgerError, StoreError
from demur.steps import delegating, denials, exporting, forgetting, levers, proving, retaining, ruling, standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from demur.adapters.postgres import PostgresReader
    from demur.adapters.sealing import Disclosure
    from demur.core.policy.document import Documents
    from demur.core.record import Sealed
    from demur.core.retention import RetentionClass
    from demur.core.review import Review, ReviewState
    from demur.core.terms import Timestamp
    from demur.ports import Head, StoredRecord, Transaction, Tree
    from demur.steps.denials import Held
    from demur.steps.proving import Inclusion
    from demur.steps.retaining import Retention
    from demur.steps.ruling import ReviewRequest
    from demur.steps.standing import Proposal, Told

from demur.wiring import databases
from demur.wiring.settings import LEDGER


@dataclass(frozen=True, slots=True)
class Reader:
    """A home opened for reading only, also while a gate runs on it."""

    store: SqliteReader | PostgresReader
    vault: KeyVault
    log: str
    _policies: dict[str, PolicySet | None] = field(default_factory=dict)
    """Policies read before: a ledger names the same ones again and again."""

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        """The records, in order."""
        return self.store.records(first, last)

    def head(self) -> Head:
        """The end of the ledger."""
        return self.store.read(lambda tx: tx.head)

    def tree(self) -> Tree:
        """Size and root of the tree over the records."""
        return self.store.read(lambda tx: tx.tree())

    def prove(self, sequence: int, size: int | None = None) -> Inclusion:
        """That a record stands in the tree of `size` records, all for None; raises `LedgerError` for one that does not
        exist, and where the stored tree contradicts the record.
        """
        return self.store.read(lambda tx: proving.prove(tx, sequence, size))

    def find_tile(self, level: int, number: int, width: int) -> bytes:
        """The first hashes of a stored tile, none where the tree does not have as many (`core.ledger.tile.Read`)."""
        return self.store.read(lambda tx: proving.reading(tx)(level, number, width))

    def now(self) -> Timestamp:
        """The time by which reviews expire."""
        return self.store.read(lambda tx: tx.now)

    def find_sealed(self, sequence: int) -> Sealed | None:
        """The sealed values of a record."""
        return self.store.read(lambda tx: tx.find_sealed(sequence))

    def disclose(self, sequence: int, names: Collection[str]) -> tuple[Disclosure, ...]:
        """Single sealed fields of one record, each with its proof (`sealing.check_disclosed` checks them).

        Raises `LedgerError` where the record sealed nothing of that name, `ForgottenError` where it was erased.
        """
        sealed = self.find_sealed(sequence)
        if sealed is None:
            raise LedgerError(f"record {sequence} has no sealed values")
        return self.vault.disclose(sealed, names)

    def find_policies(self, digest: str) -> PolicySet | None:
        """The policies with this digest, as they were kept; raises `LedgerError` where they were altered."""
        if digest not in self._policies:
            raw = self.store.read(lambda tx: tx.find_blob(digest))
            self._policies[digest] = None if raw is None else _kept(raw, digest)
        return self._policies[digest]

    def policies_in_force(self) -> Documents:
        """The policies that the gate judged by last; raises `StoreError` where no gate was ever opened here."""
        raw = self.store.read(_policies_in_force)
        if raw is None:
            message = "expected a home with policies in force, found one that no gate was opened on"
            raise StoreError(message)
        return decode_compiled(raw)

    def reviews(self, states: tuple[ReviewState, ...], *, limit: int = ruling.MAX_LISTED) -> tuple[Review, ...]:
        """The reviews in these states, the earliest deadline first. What is overdue still counts as pending here."""
        return self.store.read(lambda tx: ruling.find(tx, states=states, limit=limit))

    def export(self, person: str) -> dict[str, object]:
        """All that is kept about a person (`type:id`), for that person; raises `RulingError` where nothing is."""
        return exporting.export(self.store, self.vault, person)

    def forgetting(self) -> list[dict[str, object]]:
        """The legal holds in force and the erasures that are not completed."""
        return self.store.read(lambda tx: forgetting.describe(tx, self.vault))

    def plan_retention(self, classes: tuple[RetentionClass, ...]) -> Retention:
        """What `Gateway.retain` would take by now; raises `ConfigurationError`."""
        return retaining.plan(self.store, self.vault, retention.check(classes))

    def delegations(self) -> list[dict[str, object]]:
        """Who rules in whose place, until when, with names and reasons."""
        return self.store.read(lambda tx: delegating.describe(tx, self.vault))

    def levers(self) -> list[dict[str, object]]:
        """The operator's levers that are on or open, with who moved them and why."""
        return self.store.read(lambda tx: levers.describe(tx, self.vault))

    def sessions(self) -> tuple[Held, ...]:
        """The quarantined sessions, the newest last, with who they are and who quarantined them by hand."""
        return self.store.read(lambda tx: denials.find(tx, self.vault))

    def session(self, key: str) -> Held | None:
        """One quarantined session; `None` where it is not."""
        return self.store.read(lambda tx: denials.show(tx, self.vault, key))

    def review(self, review_id: str) -> ReviewRequest | None:
        """One review as a reviewer sees it."""
        policies = self._in_force()
        return self.store.read(lambda tx: ruling.consult(tx, self.vault, policies, review_id))

    def standing(self) -> tuple[Told, ...]:
        """The standing approvals, and those that ended last."""
        policies = self._in_force()
        return self.store.read(lambda tx: standing.describe(tx, self.vault, policies))

    def propose_standing(self, review_id: str) -> Proposal:
        """What could be approved in advance; raises `RulingError` where too little was approved."""
        policies = self._in_force()
        return self.store.read(lambda tx: standing.propose(tx, self.vault, policies, review_id))

    def _in_force(self) -> PolicySet:
        return PolicySet.build(self.policies_in_force(), TzdataZones())

    def close(self) -> None:
        """Let go of the home."""
        self.store.close()


def _kept(raw: bytes, digest: str) -> PolicySet:
    zones = TzdataZones()
    try:
        documents = decode_compiled(raw)
    except CompiledError as error:
        raise LedgerError(f"the policies `{digest}` cannot be read: {error}") from error
    strange = altered(documents, zones.is_zone)
    if strange or documents.digest != digest:
        raise LedgerError(f"the policies kept as `{digest}` were altered: {', '.join(strange) or 'other policies'}")
    return PolicySet.build(documents, zones)


def open_reader(home: Path) -> Reader:
    """A home for reading; raises `ConfigurationError` where there is none and `StoreError` where it cannot be read."""
    named = databases.find()
    if named is not None:
        return _reader(*databases.open_database_reader(Path(home), named))
    path = Path(home) / LEDGER
    if not path.exists():
        message = f"expected a gate's home with `{LEDGER}`, found none in `{home}`"
        raise ConfigurationError(message, hint="give the folder that `demur.open(home=...)` or `--home` named")
    store = SqliteReader(path)
    return _reader(store, KeyVault.open(Path(home), store.log, is_read_only=True))


def _reader(store: SqliteReader | PostgresReader, vault: KeyVault) -> Reader:
    # An old copy of the store of keys may have brought some back; until a gate destroys them again, nobody reads them.
    vault.shun(store.read(lambda tx: tuple(forgetting.erased(tx))))
    return Reader(store, vault, store.log)


def _policies_in_force(tx: Transaction) -> bytes | None:
    digest = tx.find_meta("policy_version")
    return tx.find_blob(digest.decode()) if digest is not None else None
