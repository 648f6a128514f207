"""The one place that chooses adapters: from one typed `Settings` to a gate, a reader, or a set of policies.

    home/                    everything that one embedded gate keeps
        ledger.db            records, vault, grants, reviews (SQLite)
        subject-keys.db      the keys of persons, in a store of their own
        keys/                master key and log key, 0600
        reviewers.json       who may rule, with the digests of their credentials, 0600
        compiled/            compiled policies by digest; may be deleted at any time

Clauses: S5.5, S11.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import policies as loading
from demur.adapters.callables import CallableOpener, UnregisteredSource
from demur.adapters.clock import SystemClock
from demur.adapters.documents import read_file, read_folder
from demur.adapters.documents import read_tests as _read_tests
from demur.adapters.keys import KeyVault
from demur.adapters.memory import MemoryStore
from demur.adapters.notifying import Notifier
from demur.adapters.reviewers import ReviewerBook
from demur.adapters.sources import DeclaredSources, open_sources
from demur.adapters.sqlite import SqliteReader, SqliteStore
from demur.adapters.static_tables import StaticOpener
from demur.adapters.zones import TzdataZones
from demur.core import duty
from demur.core.policy.compiled import CompiledError, decode_compiled, encode_compiled
from demur.core.policy.index import PolicySet
from demur.core.policy.lint import lint
from demur.core.policy.located import plain
from demur.core.policy.recheck import altered
from demur.core.record import check_log
from demur.errors import ConfigurationError, LedgerError, StoreError
from demur.gateway import Gateway
from demur.observability.events import Events
from demur.steps import levers, ruling
from demur.steps.world import Active, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demur.adapters.callables import Registered
    from demur.adapters.sources import Opener
    from demur.core.policy.document import Documents
    from demur.core.policy.located import SourceDocument
    from demur.core.record import Sealed
    from demur.core.review import Review, ReviewState
    from demur.core.terms import Timestamp
    from demur.errors import Problem
    from demur.ports import Clock, Head, Store, StoredRecord, Transaction, Vault, Zones
    from demur.steps.ruling import ReviewRequest

BUILD = "demur-0.1.0"
LEDGER = "ledger.db"
REVIEWERS = "reviewers.json"
COMPILED = "compiled"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to open a gate. Without `home` everything lies in memory and is gone when the process ends."""

    policies: Path
    home: Path | None = None
    log: str = "default"
    sources: Mapping[str, Registered] = field(default_factory=dict)
    """Callables for the sources of kind `python`, by name."""
    deadline_seconds: float = 10.0
    max_queued: int = 4_096
    clock: Clock = field(default_factory=SystemClock)
    channels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Whom obligations of the type `notify` tell: by the name that policies use, the URLs for Apprise."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A gate and what it was made from, for those who go on to reload policies or add reviewers."""

    gate: Gateway
    settings: Settings
    world: World
    book: ReviewerBook
    notifier: Notifier


def open_gate(settings: Settings, documents: Documents | None = None) -> Parts:
    """A gate, ready to decide; `documents` are its policies where they are loaded already.

    Raises `PolicyError` where the policies do not load, `ConfigurationError` where a source or a channel cannot be
    opened, `OwnedElsewhereError` where another process owns the home, and `StoreError` where it cannot be used.
    """
    check_log(settings.log)
    loaded = documents or load_policies(settings.policies, cache=settings.home)
    return _open(settings, _active(loaded, settings, TzdataZones()), encode_compiled(loaded))


def reload_policies(parts: Parts, policies: Path | None = None, *, by: str = "local") -> str:
    """Compile the policies in a child process and put them in force; returns their digest.

    Decisions go on meanwhile under the policies in force. Raises `PolicyError` and `ConfigurationError` where the
    others do not load, and then nothing has changed.
    """
    cache = parts.settings.home / COMPILED if parts.settings.home else None
    raw = loading.compile_in_child(policies or parts.settings.policies, cache=cache)
    documents = decode_compiled(raw)
    active = _active(documents, parts.settings, parts.world.zones, folder=policies)
    active.policies.warm()  # while the others still decide, so that no request waits for an index
    parts.gate.activate(active, raw, by=by)
    _attend(parts.notifier, parts.world, active)
    return documents.digest


def load_policies(folder: Path, *, cache: Path | None = None) -> Documents:
    """The policies in a folder, checked; raises `PolicyError` with every problem. `cache` is a gate's home."""
    return loading.load_folder(Path(folder), cache=cache / COMPILED if cache else None, zones=TzdataZones())


def check_policies(folder: Path) -> tuple[Documents, tuple[Problem, ...]]:
    """The policies in a folder with what is allowed in them but surely not meant; raises `PolicyError`."""
    documents = load_policies(folder)
    found = lint(documents, read_folder(Path(folder)))
    files = {rule.file for rule in documents.rules}
    # A finding about a declaration names its file as the folder does; rules name theirs as reached from here.
    reached = (p if p.file in files else replace(p, file=str(Path(folder, p.file))) for p in found)
    return documents, tuple(reached)


def build_policies(documents: Documents) -> PolicySet:
    """Checked documents, ready to decide."""
    return PolicySet.build(documents, TzdataZones())


def clock() -> Clock:
    """The time of this machine."""
    return SystemClock()


def zones() -> Zones:
    """The time zones that Demur ships with."""
    return TzdataZones()


def read_tests(path: Path) -> tuple[SourceDocument, ...]:
    """The test documents in a folder; raises `PolicyError` where one cannot be read."""
    return _read_tests(Path(path))


def read_mapping(path: Path) -> Mapping[str, object]:
    """The names and values of a YAML or JSON file, such as facts; raises `ConfigurationError` where it holds none."""
    document = read_file(Path(path), str(path))
    if document.problems:
        raise ConfigurationError(str(document.problems[0]))
    value = plain(document.root) if document.root is not None else {}
    if not isinstance(value, dict):
        message = f"expected names and values in `{path}`, found a list or a single value"
        raise ConfigurationError(message, hint="write one `name: value` per line")
    return value


def open_declared_sources(
    documents: Documents, folder: Path, sources: Mapping[str, Registered] | None = None, *, must_exist: bool = True
) -> DeclaredSources:
    """The sources that the schema declares. With `must_exist` a `python` source without a callable is an error."""
    openers: dict[str, Opener] = {
        "static": StaticOpener(Path(folder)),
        "python": CallableOpener(sources or {}, must_exist=must_exist),
    }
    if any(source.kind == "content" for source in documents.schema.sources.values()):
        from demur.content.source import ContentOpener  # noqa: PLC0415  (its libraries load only where asked for)

        openers["content"] = ContentOpener()
    return open_sources(documents.schema, openers)


@dataclass(frozen=True, slots=True)
class Reader:
    """A home opened for reading only, also while a gate runs on it."""

    store: SqliteReader
    vault: Vault
    log: str
    _policies: dict[str, PolicySet | None] = field(default_factory=dict)
    """Policies read before: a ledger names the same ones again and again."""

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        """The records, in order."""
        return self.store.records(first, last)

    def head(self) -> Head:
        """The end of the ledger."""
        return self.store.read(lambda tx: tx.head)

    def now(self) -> Timestamp:
        """The time by which reviews expire."""
        return self.store.read(lambda tx: tx.now)

    def find_sealed(self, sequence: int) -> Sealed | None:
        """The sealed values of a record."""
        return self.store.read(lambda tx: tx.find_sealed(sequence))

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

    def levers(self) -> list[dict[str, object]]:
        """The operator's levers that are on or open, with who moved them and why."""
        return self.store.read(lambda tx: levers.describe(tx, self.vault))

    def review(self, review_id: str) -> ReviewRequest | None:
        """One review as a reviewer sees it."""
        schema = self.policies_in_force().schema
        return self.store.read(lambda tx: ruling.read(tx, self.vault, schema, review_id))

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
    path = Path(home) / LEDGER
    if not path.exists():
        message = f"expected a gate's home with `{LEDGER}`, found none in `{home}`"
        raise ConfigurationError(message, hint="give the folder that `demur.open(home=...)` or `--home` named")
    store = SqliteReader(path)
    return Reader(store, KeyVault.open(Path(home), store.log, is_read_only=True), store.log)


def open_desk(home: Path, *, clock: Clock | None = None) -> Parts:
    """A gate over a home with the policies last in force, to rule on reviews. No source answers, so it allows nothing
    that needs one. Raises as `open_reader` and `open_gate` do.
    """
    reader = open_reader(home)
    try:
        documents = reader.policies_in_force()
    finally:
        reader.close()
    settings = Settings(home, home, reader.log, clock=clock or SystemClock())
    policies = PolicySet.build(documents, TzdataZones())
    silent = {name: UnregisteredSource(name) for name in documents.schema.sources}
    return _open(settings, Active.of(policies, DeclaredSources(documents.schema, silent)), encode_compiled(documents))


def open_reviewers(home: Path) -> ReviewerBook:
    """The reviewers of a home."""
    return ReviewerBook(Path(home) / REVIEWERS)


def _open(settings: Settings, active: Active, compiled: bytes) -> Parts:
    notifier = Notifier(settings.channels)
    store, vault, was_clean = _open_store(settings)
    book = ReviewerBook(settings.home / REVIEWERS if settings.home else None)
    world = World(store, vault, settings.clock, TzdataZones(), book, Events(), settings.log, BUILD)
    gate = Gateway(world, active, deadline_seconds=settings.deadline_seconds)
    gate.begin(was_clean=was_clean)
    gate.activate(active, compiled)
    _attend(notifier, world, active)
    return Parts(gate, settings, world, book, notifier)


def _attend(notifier: Notifier, world: World, active: Active) -> None:
    """Carry out obligations from now on, where these policies can oblige us: nobody else pays for the events."""
    if duty.has_afterwards(active.policies.documents.rules):
        notifier.attach(world.observer)


def _policies_in_force(tx: Transaction) -> bytes | None:
    digest = tx.find_meta("policy_version")
    return tx.find_blob(digest.decode()) if digest is not None else None


def _active(documents: Documents, settings: Settings, zones: Zones, *, folder: Path | None = None) -> Active:
    policies = PolicySet.build(documents, zones)
    sources = open_declared_sources(documents, folder or settings.policies, settings.sources)
    return Active.of(policies, sources)


def _open_store(settings: Settings) -> tuple[Store, Vault, bool]:
    if settings.home is None:
        memory = MemoryStore(settings.log, settings.clock, max_queued=settings.max_queued)
        return memory, KeyVault.in_memory(), True
    home = Path(settings.home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SqliteStore(home / LEDGER, settings.log, settings.clock, max_queued=settings.max_queued)
    try:
        return store, KeyVault.open(home, settings.log), store.was_clean
    except BaseException:
        store.close()
        raise
