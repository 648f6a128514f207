"""A home opened to decide: stores, keys, reviewers and the policies in force, put together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import ed25519, policy_watch
from demur.adapters import policies as loading
from demur.adapters.callables import UnregisteredSource
from demur.adapters.clock import SystemClock
from demur.adapters.keys import KeyVault
from demur.adapters.memory import MemoryStore
from demur.adapters.notifying import Notifier
from demur.adapters.policy_watch import Kept, PolicyWatch
from demur.adapters.pulse import Beat, Pulse
from demur.adapters.reviewers import ReviewerBook
from demur.adapters.sources import DeclaredSources
from demur.adapters.sqlite import SqliteStore
from demur.adapters.zones import TzdataZones
from demur.core import duty
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.index import PolicySet
from demur.core.record import check_log
from demur.errors import StoreError
from demur.gateway import Gateway
from demur.observability.events import Events
from demur.steps import levers, ruling
from demur.steps.attesting import Rhythm
from demur.steps.people import People, Reviewers
from demur.steps.world import Active, World

if TYPE_CHECKING:
    from demur.core.policy.document import Documents
    from demur.ports import Clock, Observer, Store, Vault, Zones

from demur.wiring import databases
from demur.wiring.checkpoints import accept, open_checkpoints
from demur.wiring.notices import open_notices, reminding
from demur.wiring.policies import load_policies, open_declared_sources
from demur.wiring.reading import open_reader
from demur.wiring.settings import BUILD, COMPILED, LEDGER, REVIEWERS, Settings
from demur.wiring.sinks import open_couriers
from demur.wiring.space import open_watermark

_logger = logging.getLogger("demur")


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


def open_desk(home: Path, *, clock: Clock | None = None) -> Parts:
    """A gate over a home with the policies last in force, to rule on reviews. No source answers, so it allows nothing
    that needs one. Raises as `open_reader` and `open_gate` do.
    """
    reader = open_reader(home)
    try:
        documents = reader.policies_in_force()
    finally:
        reader.close()
    settings = Settings(home, home, reader.log, clock=clock or SystemClock(), heartbeat_seconds=0, desk_seconds=0)
    policies = PolicySet.build(documents, TzdataZones())
    silent = {name: UnregisteredSource(name) for name in documents.schema.sources}
    active = Active.of(policies, DeclaredSources(documents.schema, silent))
    # The key may be with a service that only the gate reaches; the guard holds here too, and the gate signs later.
    return _open(settings, active, encode_compiled(documents), is_desk=True)


def accept_rollback(home: Path, *, credential: str, reason: str) -> str:
    """Go on with a home that lacks records that were signed, by an operator's act: a new origin and a new key.

    Returns the new key's text. Raises `RulingError` where the credential is no operator's, `ConfigurationError` where
    nothing is missing, and as `open_desk`.
    """
    reader = open_reader(home)
    reader.close()
    settings = Settings(home, home, reader.log)
    store, vault, _, clock = open_store(settings, Events())
    try:
        book = ReviewerBook(settings.home / REVIEWERS if settings.home else None)
        world = World(store, vault, clock, TzdataZones(), book, Events(), settings.log, BUILD)
        return accept(settings, store, levers.act(world, credential, ruling.check_reason(reason)))
    finally:
        store.close()
        vault.close()


def open_reviewers(home: Path) -> ReviewerBook:
    """The reviewers of a home."""
    return ReviewerBook(Path(home) / REVIEWERS)


def _open(settings: Settings, active: Active, compiled: bytes, *, is_desk: bool = False) -> Parts:
    notifier = Notifier(settings.channels)
    observer = Events()
    store, vault, was_clean, clock = open_store(settings, observer)
    try:
        kept = _kept(settings, store) if not is_desk else None
        if kept is not None:
            active = _preferred(kept, active, settings)
        book = ReviewerBook(settings.home / REVIEWERS if settings.home else None)
        checkpoints = open_checkpoints(settings, store, observer, must_sign=not is_desk)
        known = Reviewers(book, People(store, vault, clock))
        world = World(store, vault, clock, TzdataZones(), known, observer, settings.log, BUILD, checkpoints)
        gate = Gateway(
            world,
            active,
            deadline_seconds=settings.deadline_seconds,
            verify=ed25519.verify,
            received=settings.received,
        )
        couriers = open_couriers(store, settings.sinks) + open_notices(world, settings.notify, settings.desk_url)
        gate.begin(was_clean=was_clean, rhythm=_rhythm(settings))
        if kept is None:
            gate.activate(active, compiled)
    except BaseException as error:
        # What was taken would keep the next opening out.
        store.close()
        vault.close()
        if isinstance(error, OSError):
            raise StoreError(f"the home `{settings.home}` cannot be opened: {error}") from error
        raise
    _attend(notifier, world, active)
    gate.keep_pulse(_pulse(gate, settings))
    for courier in couriers:
        courier.start()
        gate.keep_pulse(courier)
    parts = Parts(gate, settings, world, book, notifier)
    if _is_shared(settings) and not is_desk:
        _follow(parts)
    return parts


def _is_shared(settings: Settings) -> bool:
    """Whether other replicas may put policies in force (docs/decisions/0013)."""
    return settings.home is not None and databases.find(settings.store, settings.keys) is not None


def _kept(settings: Settings, store: Store) -> Kept | None:
    return policy_watch.read_kept(store) if _is_shared(settings) else None


def _preferred(kept: Kept, found: Active, settings: Settings) -> Active:
    """What the replicas decide by, where this one's folder says something else; raises as `policy_watch`."""
    if kept.digest == found.digest:
        return found
    _logger.warning("the store's policies %s are in force, not the folder's %s", kept.digest, found.digest)
    policy_watch.check_in_child(kept)
    found.sources.close()
    return _active(policy_watch.decode_kept(kept), settings, TzdataZones())


def _follow(parts: Parts) -> None:
    def adopt(kept: Kept) -> None:
        active = _active(policy_watch.decode_kept(kept), parts.settings, parts.world.zones)
        active.policies.warm()
        if not parts.gate.adopt(active):
            active.sources.close()
            return
        _attend(parts.notifier, parts.world, active)

    watch = PolicyWatch(parts.world.store, lambda: parts.gate.policy_version, adopt)
    parts.gate.follow(watch.check)
    parts.gate.keep_pulse(Pulse([Beat("watch over the policies", policy_watch.SECONDS, watch.look)]))


def _rhythm(settings: Settings) -> Rhythm:
    if settings.home is None:
        return Rhythm()
    return Rhythm(settings.heartbeat_seconds, settings.canary_seconds, tuple(sorted(settings.canaries)))


def _pulse(gate: Gateway, settings: Settings) -> Pulse:
    near = reminding(gate, settings.notify)
    if settings.home is None:
        return Pulse(near)
    canaries = [
        Beat(f"canary {name}", settings.canary_seconds, partial(gate.canary, name, request))
        for name, request in settings.canaries.items()
    ]
    desk = Beat("desk", settings.desk_seconds, gate.route)
    return Pulse([Beat("heartbeat", settings.heartbeat_seconds, gate.heartbeat), desk, *near, *canaries])


def _attend(notifier: Notifier, world: World, active: Active) -> None:
    """Carry out obligations from now on, where these policies can oblige us: nobody else pays for the events."""
    if duty.has_afterwards(active.policies.documents.rules):
        notifier.attach(world.observer)


def _active(documents: Documents, settings: Settings, zones: Zones, *, folder: Path | None = None) -> Active:
    policies = PolicySet.build(documents, zones)
    sources = open_declared_sources(documents, folder or settings.policies, settings.sources)
    return Active.of(policies, sources)


def open_store(settings: Settings, observer: Observer) -> tuple[Store, Vault, bool, Clock]:
    """Store, vault, whether the store was closed in order, and the clock; raises as `open_gate`."""
    if settings.home is None:
        memory = MemoryStore(settings.log, settings.clock, max_queued=settings.max_queued)
        return memory, KeyVault.in_memory(), True, settings.clock
    home = Path(settings.home)
    named = databases.find(settings.store, settings.keys)
    if named is not None:
        return databases.open_replica(settings, home, named)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    room = open_watermark(settings, home, observer)
    store = SqliteStore(home / LEDGER, settings.log, settings.clock, max_queued=settings.max_queued, watermark=room)
    try:
        return store, KeyVault.open(home, settings.log), store.was_clean, settings.clock
    except BaseException:
        store.close()
        raise
