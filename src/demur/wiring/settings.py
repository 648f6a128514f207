"""What can be chosen when a gate is opened, and the names of the files in its home."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.adapters.clock import SystemClock
from demur.adapters.space import MIN_FREE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demur.adapters.callables import Registered
    from demur.ports import Clock, Signer
    from demur.wiring.notices import Place
    from demur.wiring.sinks import Sink

BUILD = "demur-0.1.0"
LEDGER = "ledger.db"
REVIEWERS = "reviewers.json"
COMPILED = "compiled"
PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Anchors:
    """Who holds our checkpoints outside, where the operator of the gate cannot take them back. By default nobody."""

    witnesses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Witnesses (C2SP tlog-witness): by the URL for submissions, the verifier keys of their cosignatures."""
    drops: Sequence[str] = ()
    """Folders, and URLs of buckets such as `s3://bucket/prefix`, where a checkpoint can be put once."""
    is_required: bool = False
    """Whether the gate stays shut while none of them can be asked what it holds; otherwise that is reported."""
    every_seconds: float = 60.0
    """Checkpoints are given to them at most this often."""


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
    store: str = field(default="", repr=False)
    """The URL of a PostgreSQL database instead of a file in the home; "" for what `DEMUR_STORE` says, if anything."""
    keys: str = field(default="", repr=False)
    """The URL of the database of the persons' keys that goes with it; "" for what `DEMUR_KEYS` says."""
    origin: str = ""
    """The name under which the ledger is signed: a URL without its scheme; "" for `demur.local/<log>`."""
    signers: Sequence[Signer] = ()
    """Who signs checkpoints, such as a key management service; by default a key in the home does."""
    checkpoint_seconds: float = 1.0
    """Checkpoints are signed at most this often, and when the gate closes."""
    anchors: Anchors = field(default_factory=Anchors)
    """Who holds checkpoints outside."""
    heartbeat_seconds: int = 60
    """How often a gate with a home records that it is there; 0 for never."""
    canaries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Requests that must be denied, by a name; a gate with a home asks them every `canary_seconds`."""
    canary_seconds: int = 3_600
    desk_seconds: float = 5.0
    """How often a gate with a home does what time asks of its reviews; 0 for only when they are looked at."""
    received: Sequence[str] = ()
    """Patterns of actions whose requests are recorded before they are judged."""
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    """Who learns of events outside, by a name; at least once, in order, from the ledger."""
    notify: Mapping[str, Place] = field(default_factory=dict)
    """Where people are told of reviews, by a name; at least once, from the ledger."""
    desk_url: str = ""
    """Where the desk is reached, for the links in what people are told; "" for none."""
    min_free_bytes: int = MIN_FREE_BYTES
    """Below so much free space under `home` nothing is decided, redeemed or recorded; 0 turns it off."""
