"""The trust policy of a log as text, to be given to whoever verifies it, by another way than what they verify.

    # sizes from 0 to 5041
    log demur.local/default+1a2b3c4d+AT5f...
    # sizes from 4042
    log demur.local/default+5e6f7a8b+AQp0...
    witness w1 witness.example/w1+0a1b2c3d+BJ9c...
    group witnesses 1 w1
    quorum witnesses

The windows of keys stand in comments, since the format has no place for them.

Source: C2SP tlog-policy. Standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.ledger.note import KeyType
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.core.ledger.note import VerifierKey
    from demur.core.ledger.rotation import Window


def policy(windows: Sequence[Window], witnesses: Sequence[VerifierKey] = (), quorum: int | None = None) -> str:
    """The policy that these keys of a log and `quorum` of these witnesses must sign, all of them for None.

    Raises `LedgerError` for a key that is no witness's, one that stands twice, and a quorum that cannot be.
    """
    needed = len(witnesses) if quorum is None else quorum
    if any(key.type is not KeyType.COSIGNATURE for key in witnesses):
        raise LedgerError("expected keys of witnesses of type 4 (cosignature), found another")
    if len({key.public_key for key in (*witnesses, *(window.key for window in windows))}) < len(witnesses) + len(
        windows
    ):
        raise LedgerError("expected every key once, found one twice")
    if not (1 <= needed <= len(witnesses) or (not witnesses and not needed)):
        raise LedgerError(f"expected a quorum from 1 to {len(witnesses)} witnesses, found {needed}")
    lines: list[str] = []
    for window in windows:
        lines += [f"# sizes from {window.first_size}{_until(window.last_size)}", f"log {window.key.text}"]
    names = [f"w{number}" for number in range(1, len(witnesses) + 1)]
    lines += [f"witness {name} {key.text}" for name, key in zip(names, witnesses, strict=True)]
    if not witnesses:
        return "\n".join([*lines, "quorum none", ""])
    return "\n".join([*lines, f"group witnesses {needed} {' '.join(names)}", "quorum witnesses", ""])


def _until(last_size: int | None) -> str:
    return "" if last_size is None else f" to {last_size}"
