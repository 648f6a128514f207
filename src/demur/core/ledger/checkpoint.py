"""Checkpoints: what a log says about itself at one moment, the text that is signed.

    demur.local/default                             the origin: which log this is, and the name of its key
    3                                               how many records
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    the root over them, RFC 6962, in base64

Lines that follow are extensions: read, kept, never written by Demur, since nobody can audit what they say. A log never
signs two checkpoints of which one is not the beginning of the other.

Source: C2SP tlog-checkpoint. Standard library only.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.ledger import merkle, note
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.ledger.note import Note, Signed, VerifierKey, Verify

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `origin` holds `size` records with this `root`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose signatures were checked, and by whom it is signed."""

    checkpoint: Checkpoint
    signed: tuple[Signed, ...]


def parse(text: str) -> Checkpoint:
    """The checkpoint in the text of a note; raises `LedgerError` where it is none."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise LedgerError("expected a checkpoint of origin, size and root on lines of their own, found another text")
    if not all(lines):
        raise LedgerError("expected a checkpoint without empty lines, found one")
    origin, size_text, root_text, *extensions = lines
    size = parse_size(size_text)
    root = parse_hash(root_text, "the root")
    if size == 0 and root != merkle.EMPTY_ROOT:
        raise LedgerError("expected the root of the empty tree for size 0, found another one")
    return Checkpoint(origin, size, root, tuple(extensions))


def parse_size(text: str) -> int:
    """A size or an index as the formats write it: decimal, no leading zero; raises `LedgerError`."""
    size = int(text) if _DECIMAL.fullmatch(text) else -1
    if not 0 <= size <= merkle.MAX_SIZE:
        raise LedgerError(f"expected a decimal number from 0 to 2^63-1, found `{text[:80]}`")
    return size


def parse_hash(text: str, what: str) -> bytes:
    """A SHA-256 hash in base64; raises `LedgerError`."""
    value = note.decode_base64(text, what)
    if len(value) != len(merkle.EMPTY_ROOT):
        raise LedgerError(f"expected {len(merkle.EMPTY_ROOT)} bytes for {what}, found {len(value)}")
    return value


def check(
    found: Note, *, log_keys: Iterable[VerifierKey], verify: Verify, witnesses: Iterable[VerifierKey] = ()
) -> Opened:
    """The checkpoint in a note that one of the log's keys signed; raises `LedgerError` where it is no such note.

    A key of the log signs for the origin of its own name only. What witnesses are required, the caller must look for in
    the answer.
    """
    keys = tuple(log_keys)
    checkpoint = parse(found.text)
    signed = note.check(found, (*keys, *witnesses), verify)
    if not any(item.key in keys and item.key.name == checkpoint.origin for item in signed):
        raise LedgerError(f"expected a checkpoint of `{checkpoint.origin[:80]}` signed by its log, found none by it")
    return Opened(checkpoint, signed)
