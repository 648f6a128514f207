"""Keeps a replica deciding by the policies that its store names, whoever put them in force (S3.7).

- The store's name of them is read every `SECONDS`; another one is loaded from the store's own bytes. What was kept
  there is checked in a child process first: whoever altered it gets no gate to decide by it.
- A replica that cannot load them, or cannot learn which they are, decides by its own for `GRACE_SECONDS` and then by
  none: what it answers is `unavailable` until it has caught up. So it is with a watch that hangs or has died.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from demur.adapters.zones import TzdataZones
from demur.core.policy.compiled import CompiledError, decode_compiled
from demur.core.policy.recheck import altered
from demur.errors import ConfigurationError, LedgerError, PolicyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.document import Documents
    from demur.ports import Store, Transaction

IN_FORCE = "policy_version"
"""The meta name of the digest of the policies in force."""
SECONDS = 0.5
"""How often the store is asked."""
GRACE_SECONDS = 5.0
"""For how long policies that may be outdated are still decided by."""
AGAIN_SECONDS = 5.0
"""Before policies that could not be loaded are tried again."""
CHECK_SECONDS = 60.0
_ALTERED = 13


class Kept(NamedTuple):
    """Policies as a store keeps them."""

    digest: str
    compiled: bytes


class PolicyWatch:
    """Compares what a gate decides by with what its store names. `look` is one comparison, for one thread."""

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], str],
        adopt: Callable[[Kept], object],
        *,
        grace_seconds: float = GRACE_SECONDS,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        """`in_force` is the digest that the gate decides by; `adopt` makes it decide by others, or raises."""
        self._store = store
        self._in_force = in_force
        self._adopt = adopt
        self._grace_seconds = grace_seconds
        self._pace = pace
        self._as_of = pace()
        self._failed = ""
        self._again_at = 0.0
        self.problem = ""
        """Why the gate could not follow when it was last tried; "" where it did."""

    def look(self) -> None:
        """Follow the store; raises `StoreError`, `LedgerError`, `PolicyError` and `ConfigurationError`."""
        began = self._pace()
        try:
            digest = self._store.read(_digest)
            if digest not in {"", self._in_force()}:
                self._follow(digest, began)
        except (StoreError, LedgerError, PolicyError, ConfigurationError) as error:
            self.problem = str(error)
            raise
        # As of when the reading began: what was put in force while it went on is for the next time.
        self._as_of, self.problem, self._failed = began, "", ""

    def check(self) -> None:
        """Raises `StoreError` where the gate may be deciding by policies that are in force no more."""
        if self._pace() - self._as_of > self._grace_seconds:
            raise StoreError(
                f"the policies in force could not be followed: {self.problem or 'nobody looked in time'}",
                hint="the log of this replica says why; the others go on",
            )

    def _follow(self, digest: str, now: float) -> None:
        if digest == self._failed and now < self._again_at:
            raise StoreError(self.problem)
        self._failed, self._again_at = digest, now + AGAIN_SECONDS
        kept = read_kept(self._store)
        if kept is None:
            raise LedgerError(f"expected the policies `{digest}` in the store, found none")
        check_in_child(kept)
        self._adopt(kept)


def read_kept(store: Store) -> Kept | None:
    """The policies that the store names, None where none were ever in force; raises `StoreError`."""
    return store.read(_kept)


def decode_kept(kept: Kept) -> Documents:
    """The documents, unchecked but for their digest; raises `LedgerError` where they are others or unreadable."""
    try:
        documents = decode_compiled(kept.compiled)
    except CompiledError as error:
        raise LedgerError(
            f"the policies `{kept.digest}` cannot be read: {error}",
            hint="another version of Demur may have put them in force; bring all replicas to one version",
        ) from error
    if documents.digest != kept.digest:
        raise LedgerError(f"the policies kept as `{kept.digest}` are others")
    return documents


def check_in_child(kept: Kept) -> None:
    """Check in a process of its own that kept policies are what was once put in force; raises `LedgerError`."""
    command = [sys.executable, "-P", "-m", "demur.adapters.policy_watch", kept.digest]
    try:
        done = subprocess.run(command, input=kept.compiled, capture_output=True, check=False, timeout=CHECK_SECONDS)  # noqa: S603  (our own program)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LedgerError(f"the policies `{kept.digest}` could not be checked: {error}") from error
    if done.returncode == 0:
        return
    said = " ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:])
    raise LedgerError(said if done.returncode == _ALTERED else f"the policies could not be checked: {said}")


def _digest(tx: Transaction) -> str:
    return (tx.find_meta(IN_FORCE) or b"").decode()


def _kept(tx: Transaction) -> Kept | None:
    digest = _digest(tx)
    raw = tx.find_blob(digest) if digest else None
    return None if raw is None else Kept(digest, raw)


def _child(digest: str) -> int:
    """What the child does: nothing, or a line on standard error that says what is wrong."""
    try:
        strange = altered(decode_kept(Kept(digest, sys.stdin.buffer.read())), TzdataZones().is_zone)
        wrong = f"the policies kept as `{digest}` were altered: {', '.join(strange)}" if strange else ""
    except LedgerError as error:
        wrong = str(error)
    sys.stderr.write(wrong)
    return _ALTERED if wrong else 0


if __name__ == "__main__":
    raise SystemExit(_child(sys.argv[1]))
