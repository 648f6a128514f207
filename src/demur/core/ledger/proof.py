"""Proofs to take away: that one record stands in the log, checkable without the log and without us.

    c2sp.org/tlog-proof@v1
    extra eyJsb2ciOiJkZW1vIn0=                      optional, in base64; nothing vouches for it by itself
    index 1                                         which record, from 0
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=    the inclusion proof, one hash a line, none for a log of one record
    B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

    demur.local/default                             the checkpoint, as it was signed
    3
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — demur.local/default Az3grlgt...

The record itself is not in the proof unless somebody puts it there as the extra data; whoever checks has its leaf.

Source: C2SP tlog-proof. Standard library only.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.ledger import checkpoint, merkle, note
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demur.core.ledger.checkpoint import Opened
    from demur.core.ledger.note import Note, VerifierKey, Verify

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
"""The longest proof in a tree of less than 2^63 records."""
MAX_BYTES = note.MAX_BYTES + 512 * 1024
"""The longest proof that is read: a note, its hashes, and extra data as large as a few records."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That the record `index` stands in the log which the note's checkpoint describes; nothing is true before `check`.

    `extra` is b"" where there is none.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes = b""

    @property
    def text(self) -> str:
        """The proof as it is stored, in a file `*.tlog-proof`."""
        lines = [FIRST_LINE]
        if self.extra:
            lines.append(f"extra {_encoded(self.extra)}")
        lines += [f"index {self.index}", *map(_encoded, self.hashes), ""]
        return "\n".join(lines) + "\n" + self.note.encode().decode()


def parse(data: bytes) -> Proof:
    """The proof in these bytes; raises `LedgerError` where they are none."""
    if len(data) > MAX_BYTES:
        raise LedgerError(f"expected a proof of at most {MAX_BYTES} bytes, found {len(data)}")
    head, divider, signed = data.partition(b"\n\n")
    if not divider:
        raise LedgerError("expected an empty line between a proof and its checkpoint, found none")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerError(f"expected a proof in ASCII, found another byte at offset {error.start}") from error
    if first != FIRST_LINE:
        raise LedgerError(f"expected the first line `{FIRST_LINE}`, found `{first[:80]}`")
    extra = _extra(lines)
    index = _index(lines)
    if len(lines) > MAX_HASHES:
        raise LedgerError(f"expected at most {MAX_HASHES} hashes in a proof, found {len(lines)}")
    hashes = tuple(checkpoint.parse_hash(line, "a hash of the proof") for line in lines)
    return Proof(index, hashes, note.parse(signed), extra)


def check(
    proof: Proof,
    leaf: bytes,
    *,
    log_keys: Iterable[VerifierKey],
    verify: Verify,
    witnesses: Iterable[VerifierKey] = (),
) -> Opened:
    """The checkpoint of a log that holds `leaf`; raises `LedgerError` where the proof does not show that.

    The signatures come first: nothing else in a proof means anything before its log has signed. What witnesses are
    required, the caller must look for in the answer.
    """
    opened = checkpoint.check(proof.note, log_keys=log_keys, verify=verify, witnesses=witnesses)
    merkle.check_inclusion(
        index=proof.index,
        size=opened.checkpoint.size,
        leaf=merkle.leaf_hash(leaf),
        proof=proof.hashes,
        expected=opened.checkpoint.root,
    )
    return opened


def hash_lines(hashes: Sequence[bytes]) -> str:
    """Hashes as the formats of C2SP write them: one a line, in base64."""
    return "".join(f"{_encoded(value)}\n" for value in hashes)


def _extra(lines: list[str]) -> bytes:
    if not lines or not lines[0].startswith("extra "):
        return b""
    extra = note.decode_base64(lines.pop(0).removeprefix("extra "), "the extra data")
    if not extra:
        raise LedgerError("expected extra data, found an empty `extra` line")
    return extra


def _index(lines: list[str]) -> int:
    line = lines.pop(0) if lines else ""
    if not line.startswith("index "):
        raise LedgerError(f"expected a line such as `index 5`, found `{line[:80]}`")
    return checkpoint.parse_size(line.removeprefix("index "))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
