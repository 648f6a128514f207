"""Puts checkpoints where they can be written once: a folder, or a bucket that speaks S3.

    <origin, percent-encoded>/<size, 20 digits>.checkpoint      one signed checkpoint, never replaced

The place should be one that whoever runs the gate cannot alter: a bucket with object lock, a folder on another machine.
What is found under a name must say what we would have put there; another root for the same size is a fork, and an alarm
(`RollbackError`). Signatures may differ, since witnesses add theirs at different times.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from demur.adapters import durable
from demur.core.ledger import checkpoint, note
from demur.errors import AnchorError, ConfigurationError, LedgerError, RollbackError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.adapters.witness import Prove
    from demur.core.ledger.checkpoint import Checkpoint
    from demur.core.ledger.note import Note, Signature

SUFFIX = ".checkpoint"
MAX_BYTES = note.MAX_BYTES


class Shelf(Protocol):
    """A place for named contents that are written once. Raises `OSError`."""

    name: str

    def add(self, name: str, data: bytes) -> bool:
        """Put this here unless there is something of that name: whether it did, durably."""

    def read(self, name: str) -> bytes: ...
    def names(self, folder: str) -> Iterable[str]:
        """The names in a folder, without it, in any order; none where there is no such folder."""


class Drop:
    """Checkpoints on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.name = shelf.name

    def hold(self, whole: Note, found: Checkpoint, prove: Prove) -> tuple[Signature, ...]:
        """Put the checkpoint there; no signatures come back. Raises `RollbackError` and `AnchorError`."""
        del prove
        name = f"{quote(found.origin, safe='')}/{found.size:020d}{SUFFIX}"
        try:
            if not self._shelf.add(name, whole.encode()):
                self._compare(name, self._shelf.read(name), found)
        except OSError as error:
            raise AnchorError(f"the drop `{self.name}` cannot be written: {error}") from error
        return ()

    def newest(self, origin: str) -> Note | None:
        """The checkpoint of the largest size for this origin, not checked; raises `AnchorError`, `RollbackError`."""
        folder = quote(origin, safe="")
        try:
            names = [name for name in self._shelf.names(folder) if _is_name(name)]
            return _parsed(self.name, self._shelf.read(f"{folder}/{max(names)}")) if names else None
        except OSError as error:
            raise AnchorError(f"the drop `{self.name}` cannot be read: {error}") from error

    def close(self) -> None:
        """Nothing to let go of."""

    def _compare(self, name: str, data: bytes, found: Checkpoint) -> None:
        there = _parsed(self.name, data)
        if there.text != found.text:
            raise RollbackError(
                f"expected our checkpoint of {found.size} records in the drop `{self.name}`, found another one",
                hint=f"compare `{name}` there with what this ledger says; one of the two histories is not the true one",
            )


class FolderShelf:
    """`Shelf` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def add(self, name: str, data: bytes) -> bool:
        path = self._folder / name
        if not self._folder.is_dir():
            raise FileNotFoundError(2, "the folder is not there", str(self._folder))
        path.parent.mkdir(exist_ok=True)
        return not path.exists() and durable.add_file(path, data)

    def read(self, name: str) -> bytes:
        with (self._folder / name).open("rb") as file:
            return file.read(MAX_BYTES + 1)

    def names(self, folder: str) -> Iterable[str]:
        if not self._folder.is_dir():
            raise FileNotFoundError(2, "the folder is not there", str(self._folder))
        path = self._folder / folder
        return [item.name for item in path.iterdir()] if path.is_dir() else []


class BucketShelf:
    """`Shelf` in an object store, by its URL such as `s3://bucket/prefix`; credentials come from the environment."""

    def __init__(self, url: str) -> None:
        try:
            import obstore  # noqa: PLC0415  (an extra)
            from obstore import exceptions, store  # noqa: PLC0415
        except ImportError as error:
            message = "expected obstore for a drop in a bucket, found it not installed"
            raise ConfigurationError(message, hint="pip install 'demur[anchor]'") from error
        self.name = url
        self._obstore, self._exceptions = obstore, exceptions
        try:
            self._store = store.from_url(url)
        except (exceptions.BaseError, ValueError) as error:
            raise ConfigurationError(f"the drop `{url[:80]}` cannot be opened: {str(error)[:200]}") from error

    def add(self, name: str, data: bytes) -> bool:
        try:
            self._obstore.put(self._store, name, data, mode="create")
        except self._exceptions.AlreadyExistsError:
            return False
        except self._exceptions.BaseError as error:
            raise OSError(str(error)[:200]) from error
        return True

    def read(self, name: str) -> bytes:
        try:
            return bytes(self._obstore.get_range(self._store, name, start=0, end=MAX_BYTES + 1))
        except self._exceptions.BaseError as error:
            raise OSError(str(error)[:200]) from error

    def names(self, folder: str) -> Iterable[str]:
        try:
            return [
                item["path"].rpartition("/")[2] for page in self._obstore.list(self._store, folder) for item in page
            ]
        except self._exceptions.BaseError as error:
            raise OSError(str(error)[:200]) from error


def open_drop(place: str) -> Drop:
    """A drop in a bucket where `place` is a URL, else in a folder; raises `ConfigurationError`."""
    return Drop(BucketShelf(place) if "://" in place else FolderShelf(Path(place)))


def _is_name(name: str) -> bool:
    digits = name.removesuffix(SUFFIX)
    return name.endswith(SUFFIX) and len(digits) == 20 and digits.isascii() and digits.isdigit()


def _parsed(where: str, data: bytes) -> Note:
    try:
        whole = note.parse(data)
        checkpoint.parse(whole.text)
    except LedgerError as error:
        raise RollbackError(f"expected a checkpoint in the drop `{where}`, found something else: {error}") from error
    return whole
