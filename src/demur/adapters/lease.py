"""One owner: a lock on a file beside the database, held from opening to closing (S11.1).

The kernel keeps the lock (flock) and gives it back however the process ends, so there is nothing to expire and no
stale owner. The file holds the owner's pid, for the error that a second one gets; the pid decides nothing. It is never
deleted, because a lock on a deleted file keeps nobody out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from typing import TYPE_CHECKING

from demur.errors import OwnedElsewhereError, StoreError

if TYPE_CHECKING:
    from pathlib import Path


class Lease:
    """The lock on one path, taken on construction."""

    def __init__(self, path: Path) -> None:
        """Raises `OwnedElsewhereError` where another opening holds it, `StoreError` where it cannot be taken."""
        self._path = path
        self._pid = os.getpid()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock `{path}` cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
            self.check()
        except BlockingIOError as error:
            owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise OwnedElsewhereError(
                f"expected a store that nobody has open, found it owned by process {owner}",
                hint="go through the running service, or stop it first; readers need no ownership",
            ) from error
        except OSError as error:
            self.release()
            raise StoreError(f"the lock `{path}` cannot be taken: {error.strerror}") from error
        _HELD.add(self)

    def check(self) -> None:
        """Raises `StoreError` where the file is gone or another one took its place: it would keep nobody out."""
        held = os.fstat(self._descriptor)
        try:
            found = self._path.stat()
        except OSError as error:
            raise StoreError(f"the lock `{self._path}` is gone: {error.strerror}") from error
        if (held.st_dev, held.st_ino) != (found.st_dev, found.st_ino):
            raise StoreError(f"the lock `{self._path}` was replaced by another file")

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):
            # Unlocked, not only closed: a fork that has not run yet still shares the descriptor. A fork never unlocks.
            if os.getpid() == self._pid:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        with contextlib.suppress(OSError):
            os.close(descriptor)


_HELD: weakref.WeakSet[Lease] = weakref.WeakSet()


def _release_in_fork() -> None:
    # A fork shares the lock: while it lived, nobody could open the store again after its owner died. Closing the
    # child's descriptor leaves the parent's lock as it is.
    for lease in list(_HELD):
        lease.release()


os.register_at_fork(after_in_child=_release_in_fork)
