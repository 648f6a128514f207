"""Copies of a home, and a home from a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import backup
from demur.adapters.backup import Manifest
from demur.adapters.clock import SystemClock
from demur.steps import forgetting

if TYPE_CHECKING:
    from demur.ports import Clock, Transaction


def create_backup(home: Path, dest: Path, *, keys: Path | None = None, clock: Clock | None = None) -> Manifest:
    """Copy a home into the folder `dest`, also while a gate runs on it, and check the copy.

    The keys go into the file `keys`, if given, and nowhere else. Raises `ConfigurationError` where there is no home or
    the places exist, `StoreError` where one cannot be read or written, `LedgerError` where the ledger contradicts
    itself; then nothing is left behind.
    """
    now = (clock or SystemClock()).now()
    return backup.create(Path(home), Path(dest), now=now, keys=Path(keys) if keys else None)


def restore_backup(source: Path, home: Path, *, keys: Path | None = None) -> Manifest:
    """Make a home from a copy, after checking it; keys that its ledger says were erased are destroyed again.

    Raises `ConfigurationError` where the home is in use or the copy is none, `LedgerError` where the copy is not what
    it says, `StoreError` where it cannot be written; then nothing is left behind.
    """
    return backup.restore(Path(source), Path(home), keys=Path(keys) if keys else None, erased=_erased)


__all__ = ["Manifest", "create_backup", "restore_backup"]


def _erased(tx: Transaction) -> tuple[str, ...]:
    return tuple(forgetting.erased(tx))
