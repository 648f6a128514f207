"""A folder that appears at once and whole, or not at all: written under another name, made durable, then renamed."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demur.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Draft:
    """A folder that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folders: set[Path] = {path}

    def write(self, name: str, data: bytes) -> None:
        """Write one file, durably; raises `OSError`."""
        path = self.path / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.update(folder for folder in path.parents if folder.is_relative_to(self.path))
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync(self) -> None:
        """Make the names of all files durable; raises `OSError`."""
        for folder in sorted(self._folders):
            sync_folder(folder)


@contextmanager
def appearing(to: Path) -> Iterator[Draft]:
    """A draft of the folder `to`, which gets that name when the block ends without an exception.

    Raises `ConfigurationError` where there is something of that name, and `StoreError` where it cannot be written;
    then nothing is left behind.
    """
    check_free(to)
    draft = Draft(to.with_name(f".{to.name}.{os.urandom(8).hex()}"))
    try:
        draft.path.mkdir(mode=0o700)
        yield draft
        draft.sync()
        check_free(to)
        draft.path.rename(to)
        sync_folder(to.parent)
    except OSError as error:
        raise StoreError(f"the folder `{to}` cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)


def settle(draft: Path, to: Path) -> None:
    """Give a file that was written under another name its own, durably; raises as `appearing`, and `OSError`."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    check_free(to)
    draft.rename(to)
    sync_folder(to.parent)


def check_free(path: Path) -> None:
    """Raises `ConfigurationError` where there is something of this name: nothing is ever overwritten."""
    if os.path.lexists(path):
        raise ConfigurationError(f"expected a name that is free, found `{path}`", hint="give another name")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
