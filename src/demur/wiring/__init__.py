"""The one place that chooses adapters: from one typed `Settings` to a gate, a reader, or a set of policies.

    home/                    everything that one embedded gate keeps
        ledger.db            records, vault, grants, reviews (SQLite)
        subject-keys.db      the keys of persons, in a store of their own
        keys/                master key and log key, 0600
        reviewers.json       who may rule, with the digests of their credentials, 0600
        compiled/            compiled policies by digest; may be deleted at any time

- `settings`  what can be chosen, and the names of the files
- `policies`  from a folder to policies and fact sources
- `reading`   a home opened for reading only
- `gates`     a home opened to decide

Clauses: S5.5, S11.
"""

from demur.wiring.checkpoints import key_windows, newest_checkpoint, signed_proof, signed_roots
from demur.wiring.databases import prepare_databases
from demur.wiring.desks import desk
from demur.wiring.gates import Parts, accept_rollback, open_desk, open_gate, open_reviewers, reload_policies
from demur.wiring.keeping import Manifest, create_backup, restore_backup
from demur.wiring.notices import Place
from demur.wiring.policies import (
    build_policies,
    check_policies,
    clock,
    load_policies,
    open_declared_sources,
    read_mapping,
    read_tests,
    zones,
)
from demur.wiring.reading import Reader, open_reader
from demur.wiring.settings import Anchors, Settings
from demur.wiring.sinks import Sink, send_parked, sink_places

__all__ = [
    "Anchors",
    "Manifest",
    "Parts",
    "Place",
    "Reader",
    "Settings",
    "Sink",
    "accept_rollback",
    "build_policies",
    "check_policies",
    "clock",
    "create_backup",
    "desk",
    "key_windows",
    "load_policies",
    "newest_checkpoint",
    "open_declared_sources",
    "open_desk",
    "open_gate",
    "open_reader",
    "open_reviewers",
    "prepare_databases",
    "read_mapping",
    "read_tests",
    "reload_policies",
    "restore_backup",
    "send_parked",
    "signed_proof",
    "signed_roots",
    "sink_places",
    "zones",
]
