"""Policies that came over the network: proposed by one person, put in force by another, taken back.

    home/proposals/<digest>/...        the documents of a proposal, as they were sent
    home/proposals/in-force.json       what was put in force this way, the newest last; empty: the configured folder is

What is in force stays in force when the service starts again, whatever the configured folder says meanwhile.

Clauses: S3.7, S12.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from demur.adapters import policies as loading
from demur.core.policy.compiled import decode_compiled
from demur.core.record import Draft
from demur.errors import ConfigurationError, IntakeError, RulingError
from demur.wiring.gates import reload_policies
from demur.wiring.settings import COMPILED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.ports import Transaction
    from demur.wiring.gates import Parts

PROPOSALS = "proposals"
_IN_FORCE = "in-force.json"
MAX_FILES = 256
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_.-]{0,63}/){0,3}[a-z0-9][a-z0-9_.-]{0,63}\.(?:yaml|yml|json)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Row(msgspec.Struct, frozen=True):
    """Who proposed policies, by pseudonym, and when."""

    author: str
    at: str


_rows = msgspec.json.Decoder(Row)


def propose(parts: Parts, files: Mapping[str, str], *, author: str) -> str:
    """Check documents and keep them as a proposal; returns their digest. Nothing changes until it is put in force.

    Raises `PolicyError` with every problem, `IntakeError` for a name that is none, and `StoreError`.
    """
    check_names(files)
    place = place_of(parts)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="new-", dir=place))
    try:
        for name, text in files.items():
            path = draft / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        digest = decode_compiled(loading.compile_in_child(draft, cache=_home(parts) / COMPILED)).digest
        target = place / digest.removeprefix("sha256:")
        if not target.exists():
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    mark, world = mark_of(parts, author), parts.world

    def note(tx: Transaction) -> None:
        # Whoever proposes what somebody proposed before is not its author: they could else approve it themselves.
        if tx.find_meta(f"proposal.{digest}") is None:
            tx.append(Draft("policy_proposed", {"policy_version": digest, "author": mark}))
            tx.put_meta(f"proposal.{digest}", msgspec.json.encode(Row(mark, str(tx.now))))

    world.store.submit(note).result(parts.settings.deadline_seconds)
    return digest


def is_author(parts: Parts, digest: str, person: str) -> bool:
    """Whether this person made the proposal; raises `RulingError` where there is no such proposal."""
    found = parts.world.store.read(lambda tx: tx.find_meta(f"proposal.{digest}"))
    if not _DIGEST.fullmatch(digest) or found is None:
        raise RulingError("expected the digest of a proposal, found another", hint="propose the policies first")
    return _rows.decode(found).author == mark_of(parts, person)


def put_in_force(parts: Parts, digest: str, *, by: str) -> str:
    """Put a proposal in force; returns its digest. Who may is decided by whoever calls. Raises as `reload_policies`."""
    folder = place_of(parts) / digest.removeprefix("sha256:")
    if not folder.is_dir():
        raise RulingError("expected a proposal whose documents are kept, found none")
    done = reload_policies(parts, folder, by=by)
    known = _in_force(_home(parts))
    if known[-1:] != (done,):
        _write_in_force(parts, (*known, done))
    return done


def take_back(parts: Parts, *, by: str) -> str:
    """Put what was in force before in force again; returns its digest. Raises as `reload_policies`, and `RulingError`
    where nothing came before.
    """
    known = _in_force(_home(parts))
    if not known:
        raise RulingError("expected policies that were put in force over the network, found none to take back")
    before = known[:-1]
    folder = place_of(parts) / before[-1].removeprefix("sha256:") if before else parts.settings.policies
    done = reload_policies(parts, folder, by=by)
    _write_in_force(parts, before)
    return done


def is_name(text: str) -> bool:
    """Whether the documents of a proposal could lie in a folder of this name."""
    return _DIGEST.fullmatch(f"sha256:{text}") is not None


def read_row(raw: bytes) -> Row:
    """A proposal as it was noted."""
    return _rows.decode(raw)


def folder_in_force(home: Path, configured: Path) -> Path:
    """The folder to open a gate with: the configured one, or what was put in force over it."""
    known = _in_force(home)
    return Path(home) / PROPOSALS / known[-1].removeprefix("sha256:") if known else configured


def check_names(files: Mapping[str, str]) -> None:
    """Raises `IntakeError` where these cannot be the files of a proposal."""
    if not files or len(files) > MAX_FILES:
        raise IntakeError("/files", expected=f"1 to {MAX_FILES} files", found=f"{len(files)}")
    for name in files:
        if not _NAME.fullmatch(name):
            hint = "names such as `policies.yaml` and `data/people.yaml`, in lower case"
            raise IntakeError("/files", expected="names of YAML or JSON files", found=f"`{name[:80]}`", hint=hint)


def _home(parts: Parts) -> Path:
    if parts.settings.home is None:
        raise ConfigurationError("expected a gate with a home to keep proposals in, found one in memory")
    return Path(parts.settings.home)


def place_of(parts: Parts) -> Path:
    """The folder that holds every proposal; raises `ConfigurationError` for a gate in memory."""
    return _home(parts) / PROPOSALS


def mark_of(parts: Parts, person: str) -> str:
    """The pseudonym by which a proposal names its author."""
    return parts.world.mark(f"reviewer:{person}", "reviewer")


def _in_force(home: Path) -> tuple[str, ...]:
    try:
        return msgspec.json.decode((Path(home) / PROPOSALS / _IN_FORCE).read_bytes(), type=tuple[str, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"`{PROPOSALS}/{_IN_FORCE}` cannot be read: {error}") from error


def _write_in_force(parts: Parts, known: tuple[str, ...]) -> None:
    path = place_of(parts) / _IN_FORCE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(msgspec.json.encode(known))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
