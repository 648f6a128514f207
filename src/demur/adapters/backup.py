"""Copies of a home while its gate runs, and a home made from a copy.

    DEST/ledger.db        the database as of one instant (SQLite's online backup), write-ahead log included
    DEST/reviewers.json   who may rule, where there is such a file
    DEST/manifest.json    what the copy is: log, size, head, root, when, and the SHA-256 of each file
    KEYS                  a tar archive of its own, only where asked for: the store of keys and the key files

The keys are left out unless they are asked for, and then go to another place: whoever has both can read everything,
and a person who is erased must not live on in copies. Give copies of the keys a short life of their own.

Restoring checks the copy first: every file against the manifest, the whole chain, the head and the root. Keys that the
restored ledger says were erased are destroyed again before anything is read. A restored home is marked, and the first
opening records it. Published checkpoints are not part of a copy: they tell, from outside, what a copy lacks.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tarfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from demur.adapters import sqlite_file
from demur.adapters.keys import KEYS, KeyVault
from demur.adapters.sqlite import SqliteReader
from demur.core.ledger import chain, merkle
from demur.errors import ConfigurationError, LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from demur.core.terms import Timestamp
    from demur.ports import Transaction

FORMAT = 1
LEDGER = "ledger.db"
REVIEWERS = "reviewers.json"
MANIFEST = "manifest.json"
RESTORED = "restored"
"""The name under which a restored store keeps the manifest it came from, until its first opening."""
_KEY_FILE = re.compile(r"(?:[a-z0-9][a-z0-9_.-]{0,80}\.key|subject-keys\.db)", re.ASCII)
_CHUNK = 1 << 20


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds; `head` is the hash of the last record, `root` that of the tree over all, both in hex."""

    format: int = FORMAT
    log: str
    size: int
    head: str
    root: str
    created: str
    files: dict[str, str]


def create(home: Path, dest: Path, *, now: Timestamp, keys: Path | None = None) -> Manifest:
    """Copy the home into the folder `dest`, which must not exist; and the keys into the file `keys`, if given.

    Raises `ConfigurationError` where there is no home or `dest` or `keys` exists, `StoreError` where it cannot be
    read or written, `LedgerError` where what was copied contradicts itself; then nothing is left behind.
    """
    if not (home / LEDGER).exists():
        raise ConfigurationError(f"expected a gate's home with `{LEDGER}`, found none in `{home}`")
    for place in (dest, keys):
        if place is not None and place.exists():
            raise ConfigurationError(f"expected a place that does not exist, found `{place}`")
    with _drafted(dest) as draft:
        draft.mkdir(mode=0o700, parents=True)
        _copy_database(home / LEDGER, draft / LEDGER)
        if (home / REVIEWERS).exists():
            _copy_file(home / REVIEWERS, draft / REVIEWERS)
        manifest = _describe(draft, now)
        _write(draft / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    if keys is not None:
        with _drafted(keys) as draft:
            _pack_keys(home, draft)
    return manifest


def restore(
    source: Path, home: Path, *, keys: Path | None = None, erased: Callable[[Transaction], Sequence[str]]
) -> Manifest:
    """Make `home` from a copy; `erased` tells the keys that a ledger says were erased.

    Raises `ConfigurationError` where the home is there already or the copy is none, `LedgerError` where the copy is
    not what its manifest says, `StoreError` where it cannot be written; then nothing is left behind.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigurationError(f"expected an empty place for the home, found `{home}` in use")
    manifest = check(source)
    with _drafted(home) as draft:
        draft.mkdir(mode=0o700, parents=True)
        for name in manifest.files:
            _copy_file(source / name, draft / name)
        if keys is not None:
            _unpack_keys(keys, draft)
            _forget_again(draft, manifest.log, erased)
        _mark(draft / LEDGER, manifest)
    return manifest


def check(source: Path) -> Manifest:
    """The manifest of a copy that is what it says; raises `ConfigurationError`, `LedgerError` and `StoreError`."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigurationError(f"expected a copy with `{MANIFEST}`, found none in `{source}`") from error
    except msgspec.DecodeError as error:
        raise LedgerError(f"the manifest of the copy cannot be read: {error}") from error
    if manifest.format != FORMAT or not {LEDGER} <= set(manifest.files) <= {LEDGER, REVIEWERS}:
        raise LedgerError(f"expected a copy of format {FORMAT}, found another")
    for name, digest in manifest.files.items():
        if _digest(source / name) != digest:
            raise LedgerError(f"the file `{name}` of the copy is not the one that was copied")
    found = _describe(source, None)
    if (found.log, found.size, found.head, found.root) != (manifest.log, manifest.size, manifest.head, manifest.root):
        raise LedgerError(f"the copy holds {found.size} records that are not those of its manifest")
    return manifest


@contextmanager
def _drafted(place: Path) -> Iterator[Path]:
    """A name beside the place, which takes it once all went well; nothing is left of it otherwise."""
    draft = place.with_name(f".{place.name}.{os.urandom(8).hex()}")
    try:
        yield draft
        place.parent.mkdir(parents=True, exist_ok=True)
        _sync(draft)
        draft.rename(place)  # also onto an empty folder
        _sync(place.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise StoreError(f"could not write `{place}`: {error}") from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _copy_database(source: Path, copy: Path) -> None:
    """All pages in one step, so that they are of one instant however much is written meanwhile."""
    sqlite_file.create(copy)
    with closing(sqlite_file.open_reader(source)) as reader, closing(sqlite3.connect(copy)) as target:
        reader.backup(target, pages=-1)
        target.execute("PRAGMA journal_mode=DELETE")
    _sync(copy)


def _copy_file(source: Path, copy: Path) -> None:
    with source.open("rb") as reading:
        _write(copy, reading.read())


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _describe(folder: Path, now: Timestamp | None) -> Manifest:
    """What a copied database holds, with its whole chain checked."""
    names = [name for name in (LEDGER, REVIEWERS) if (folder / name).exists()]
    files = {name: _digest(folder / name) for name in names}
    hashes: list[bytes] = []
    with closing(SqliteReader(folder / LEDGER)) as reader:

        def watched() -> Iterator[chain.Record]:
            for record in reader.records():
                hashes.append(record.record_hash)
                yield record

        end = chain.check(watched(), log=reader.log).end
        return Manifest(
            log=reader.log,
            size=end.size,
            head=end.record_hash.hex(),
            root=merkle.root(hashes).hex(),
            created=str(now or ""),
            files=files,
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as reading:
            while chunk := reading.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise LedgerError(f"the file `{path.name}` of the copy cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _pack_keys(home: Path, archive: Path) -> None:
    copy = archive.with_name(f"{archive.name}.db")
    try:
        _copy_database(home / KEYS, copy)
        with os.fdopen(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as packed:
                packed.add(copy, KEYS)
                for path in sorted(home.glob("*.key")):
                    packed.add(path, path.name)
            out.flush()
            os.fsync(out.fileno())
    finally:
        copy.unlink(missing_ok=True)


def _unpack_keys(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, mode="r:") as packed:
            for member in packed:
                content = packed.extractfile(member) if member.isreg() else None
                if content is None or _KEY_FILE.fullmatch(member.name) is None:
                    raise ConfigurationError(f"expected an archive of keys, found `{member.name[:80]}` in `{archive}`")
                _write(folder / member.name, content.read())
    except (OSError, tarfile.TarError) as error:
        raise ConfigurationError(f"the archive of keys `{archive}` cannot be read: {error}") from error


def _forget_again(folder: Path, log: str, erased: Callable[[Transaction], Sequence[str]]) -> None:
    with closing(SqliteReader(folder / LEDGER)) as reader:
        gone = reader.read(erased)
    vault = KeyVault.open(folder, log)
    try:
        vault.destroy(gone)
    finally:
        vault.close()


def _mark(ledger: Path, manifest: Manifest) -> None:
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (manifest.log, RESTORED, msgspec.json.encode(manifest))
        )


__all__ = ["Manifest", "check", "create", "restore"]
