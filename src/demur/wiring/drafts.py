"""Policies to look at before anybody puts them in force: proposals that wait, their texts, and texts of the moment.

Nothing here changes what is in force; that is wiring/proposals.py.

Clauses: S3.7, S12.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Timestamp, parse_timestamp
from demur.steps import explaining
from demur.wiring import proposals
from demur.wiring.policies import load_policies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demur.core.policy.document import Documents
    from demur.wiring.gates import Parts

MAX_LISTED = 50
MAX_TEXT_BYTES = 512 * 1024
"""Longest file that is shown."""
_ENDINGS = frozenset({".yaml", ".yml", ".json"})


class Proposed(msgspec.Struct, frozen=True):
    """A proposal whose documents are kept. `is_own` says whether whoever asks is its author."""

    digest: str
    at: Timestamp
    is_own: bool


def listed(parts: Parts, person: str, *, most: int = MAX_LISTED) -> tuple[Proposed, ...]:
    """The proposals that were never put in force, the newest first; raises `StoreError`."""
    place = proposals.place_of(parts)
    names = sorted(one.name for one in place.iterdir() if proposals.is_name(one.name)) if place.is_dir() else []
    mark = proposals.mark_of(parts, person)
    found = parts.world.store.read(
        lambda tx: [
            (digest, raw)
            for name in names
            if (raw := tx.find_meta(f"proposal.{(digest := f'sha256:{name}')}")) is not None
            and tx.find_blob(digest) is None
        ]
    )
    rows = [(digest, proposals.read_row(raw)) for digest, raw in found]
    told = [Proposed(digest, parse_timestamp(row.at), row.author == mark) for digest, row in rows]
    return tuple(sorted(told, key=lambda one: one.at, reverse=True)[:most])


def folder_of(parts: Parts, digest: str) -> Path | None:
    """The folder that holds the documents of these policies: a proposal's, or the configured one if it still does."""
    proposed = proposals.place_of(parts) / digest.removeprefix("sha256:")
    if proposals.is_name(proposed.name) and proposed.is_dir():
        return proposed
    configured = Path(parts.settings.policies)
    if configured.is_dir() and load_policies(configured, cache=parts.settings.home).digest == digest:
        return configured
    return None


def texts(folder: Path) -> dict[str, str]:
    """Every document of a folder by its name, data and tests with them."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS and path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in found[: proposals.MAX_FILES]
        if path.stat().st_size <= MAX_TEXT_BYTES
    }


def documents(parts: Parts, digest: str) -> Documents | None:
    """The checked documents with this digest, whether they were ever in force or only proposed; `None` where neither.

    Raises `PolicyError`, `LedgerError` and `StoreError`.
    """
    raw = parts.world.store.read(lambda tx: tx.find_blob(digest))
    if raw is None:
        folder = folder_of(parts, digest)
        return None if folder is None else load_policies(folder, cache=parts.settings.home)
    return explaining.documents_of(raw)


@contextmanager
def written(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these documents, for as long as it is needed; raises `IntakeError` for a name that is none."""
    proposals.check_names(files)
    with tempfile.TemporaryDirectory(prefix="demur-draft-") as name:
        for own, text in files.items():
            path = Path(name) / own
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield Path(name)
