"""Which key signs which checkpoints: windows by size, and the statements by which one key hands over to the next.

A key signs the checkpoints whose size lies within its window. Sizes and not dates, because only sizes can be checked:

    key A   from 0       to 5,041   it handed over at 4,042 records and signs beside its successor up to the end
    key B   from 4,042   open

The handover is a record of the ledger. It carries a signature of the old key over this statement, so that whoever
trusts A and has the record can trust B too, from that size on:

    demur key_event v1
    handover
    demur.local/default+1a2b3c4d+AT5f...        the old key
    demur.local/default+5e6f7a8b+AQp0...        the new key
    4042                                        the first size that the new key signs
    5041                                        the last size that the old key signs

A checkpoint has a number on its second line and this has a word, so neither can stand for the other. Standard library
only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core.ledger import merkle, note
from demur.core.ledger.note import KeyType, VerifierKey
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.ledger.note import Verify

HEADER = "demur key_event v1"


class KeyEventKind(StrEnum):
    """What happened to a key: it handed over to the next, or its time ended."""

    HANDOVER = "handover"
    RETIREMENT = "retirement"


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A handover, or its end: `new` signs from `first_size` on, `old` signs up to `last_size`."""

    kind: KeyEventKind
    old: VerifierKey
    new: VerifierKey
    first_size: int
    last_size: int

    @property
    def signer(self) -> VerifierKey:
        """Whose signature it needs: the old key names its successor, the new one tells that the old one is gone."""
        match self.kind:
            case KeyEventKind.HANDOVER:
                return self.old
            case KeyEventKind.RETIREMENT:
                return self.new

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        lines = (HEADER, self.kind.value, self.old.text, self.new.text, str(self.first_size), str(self.last_size), "")
        return "\n".join(lines).encode()


@dataclass(frozen=True, slots=True)
class Window:
    """A key and the sizes whose checkpoints it signs; `last_size` is None for a key that did not hand over yet."""

    key: VerifierKey
    first_size: int = 0
    last_size: int | None = None
    is_retired: bool = False
    """The record of its end is written, and the key may be destroyed."""

    def covers(self, size: int) -> bool:
        """Whether this key signs a checkpoint of this size."""
        return self.first_size <= size and (self.last_size is None or size <= self.last_size)


def signing(windows: Sequence[Window], size: int) -> tuple[Window, ...]:
    """The windows of the keys that sign a checkpoint of this size, the newest key last."""
    return tuple(window for window in windows if window.covers(size) and not window.is_retired)


def ending(windows: Sequence[Window], size: int) -> tuple[Window, ...]:
    """The windows that lie wholly before this size, and whose end is not recorded yet."""
    return tuple(
        window
        for window in windows
        if window.last_size is not None and window.last_size < size and not window.is_retired
    )


def hand_over(windows: Sequence[Window], key: VerifierKey, *, size: int, overlap: int) -> tuple[Window, ...]:
    """The windows once `key` takes over with the checkpoint of `size`; both sign for `overlap` further records.

    Raises `LedgerError` where the key is one of the log already, or a handover has not ended.
    """
    if overlap < 0:
        raise LedgerError(f"expected an overlap of 0 records or more, found {overlap}")
    if any(window.key.public_key == key.public_key for window in windows):
        raise LedgerError(f"expected a key that this log never had, found `{key.id.hex()}` again")
    *before, current = windows
    if any(not window.is_retired for window in before):
        raise LedgerError("expected a log whose last handover has ended, found one with two keys")
    return (*before, replace(current, last_size=size + overlap - 1), Window(key, size))


def retire(windows: Sequence[Window], key: VerifierKey) -> tuple[Window, ...]:
    """The windows with the end of this key recorded."""
    return tuple(replace(window, is_retired=window.is_retired or window.key == key) for window in windows)


def members(event: KeyEvent, signature: bytes) -> dict[str, str | int]:
    """What a `key_event` record says, from which the statement can be made again."""
    return {
        "event": event.kind.value,
        "origin": event.old.name,
        "old_key": event.old.public_key.hex(),
        "new_key": event.new.public_key.hex(),
        "first_size": event.first_size,
        "last_size": event.last_size,
        "signature": signature.hex(),
    }


def read(leaf: Mapping[str, object]) -> tuple[KeyEvent, bytes]:
    """The event in a `key_event` record and its signature, not checked; raises `LedgerError` where it is none."""
    try:
        origin = str(leaf["origin"])
        old, new = (
            VerifierKey(origin, KeyType.ED25519, bytes.fromhex(str(leaf[name]))) for name in ("old_key", "new_key")
        )
        kind, signature = KeyEventKind(str(leaf["event"])), bytes.fromhex(str(leaf["signature"]))
        return KeyEvent(kind, old, new, _size(leaf["first_size"]), _size(leaf["last_size"])), signature
    except (KeyError, ValueError) as error:
        raise LedgerError(f"expected the record of a key event, found one without: {error}") from error


def check(event: KeyEvent, signature: bytes, verify: Verify) -> None:
    """Raises `LedgerError` unless the key that must vouch for the event signed its statement."""
    if not verify(event.signer.public_key, signature, event.statement):
        raise LedgerError(f"the {event.kind.value} of `{event.old.text}` is not signed by `{event.signer.text}`")


def encode(windows: Sequence[Window]) -> bytes:
    """The windows as JSON, to be kept."""
    plain = [
        {"key": item.key.text, "first_size": item.first_size, "last_size": item.last_size, "retired": item.is_retired}
        for item in windows
    ]
    return json.dumps(plain, separators=(",", ":")).encode()


def decode(data: bytes) -> tuple[Window, ...]:
    """The windows again; raises `LedgerError` where these are none."""
    try:
        windows = tuple(
            Window(
                note.parse_key(item["key"]),
                _size(item["first_size"]),
                None if item["last_size"] is None else _size(item["last_size"]),
                item["retired"] is True,
            )
            for item in json.loads(data)
        )
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise LedgerError(f"the account of this log's keys cannot be read: {error}") from error
    if not windows:
        raise LedgerError("expected the account of this log's keys to name one, found none")
    return windows


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= merkle.MAX_SIZE:
        raise LedgerError(f"expected a size, found `{str(value)[:80]}`")
    return value
