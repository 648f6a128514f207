"""Exports made without the code under test: the chain and the tree of the core, signatures of `cryptography`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demur.core import record
from demur.core.ledger import merkle
from demur.core.record import Draft
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "ledger.example/shop"
LOG = "shop"
T0 = 1_795_000_000


@dataclass(frozen=True)
class Signer:
    """A key with its name: type 1 signs a log's checkpoints, type 4 cosigns them."""

    name: str
    kind: int = 1
    seed: bytes = b""

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.name.encode() + self.seed).digest())

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def line(self, text: str, seconds: int = T0) -> str:
        if self.kind == 1:
            value = self.private.sign(text.encode())
        else:
            value = seconds.to_bytes(8) + self.private.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        return f"— {self.name} {base64.b64encode(self.key_id + value).decode()}\n"


LOG_KEY = Signer(ORIGIN)
WITNESS = Signer("witness.example/w1", 4)
POLICY = f"log {LOG_KEY.vkey}\nwitness W1 {WITNESS.vkey}\nquorum W1\n"
LOG_ONLY = f"log {LOG_KEY.vkey}\nquorum none\n"


def body(number: int) -> Draft:
    if number % 10 == 7:
        return Draft("grant_redeemed", {"grant": f"{number:032x}", "outcome": "done"})
    members: dict[str, record.Json] = {
        "outcome": "deny" if number % 3 else "allow",
        "policies_evaluated": ["desk/editors-work", "desk/drafts-are-private"],
        "policy_version": "sha256:" + hashlib.sha256(b"policy").hexdigest(),
        "facts": {"age": number, "nested": {"is_known": True}},
        "request": hashlib.sha256(b"%d" % number).hexdigest(),
    }
    return Draft("decision", members)


def leaves(count: int, log: str = LOG, salt: int = 0) -> list[bytes]:
    """A chain of so many records."""
    found: list[bytes] = []
    before = bytes(32)
    for number in range(count):
        at = Timestamp((T0 + number) * 1_000_000_000)
        leaf = record.leaf(body(number + salt), log=log, sequence=number, previous_hash=before, timestamp=at)
        found.append(leaf)
        before = merkle.leaf_hash(leaf)
    return found


def checkpoint(
    hashes: list[bytes], size: int, *signers: Signer, origin: str = ORIGIN, root: bytes = b"", seconds: int = T0
) -> str:
    """The note over the first `size` records."""
    text = f"{origin}\n{size}\n{base64.b64encode(root or merkle.root(hashes[:size])).decode()}\n"
    return f"{text}\n{''.join(signer.line(text, seconds) for signer in signers)}"


def tile_name(level: int | str, number: int, width: int = 256) -> str:
    top, last = divmod(number, 1000)
    path = f"{last:03d}"
    while top:
        top, part = divmod(top, 1000)
        path = f"x{part:03d}/{path}"
    return f"tile/{level}/{path}" + ("" if width == 256 else f".p/{width}")


def bundle(found: list[bytes]) -> bytes:
    return b"".join(len(leaf).to_bytes(2) + leaf for leaf in found)


def tiles(hashes: list[bytes]) -> dict[str, bytes]:
    """Every tile of the tree over these hashes."""
    files: dict[str, bytes] = {}
    level = 0
    nodes = hashes
    while nodes:
        for at in range(0, len(nodes), 256):
            piece = nodes[at : at + 256]
            files[tile_name(level, at // 256, len(piece))] = b"".join(piece)
        nodes = [merkle.root(nodes[at : at + 256]) for at in range(0, len(nodes) - 255, 256)]
        level += 1
    return files


@dataclass
class Export:
    """The files of an export by their names; `write` puts them into a folder."""

    leaves: list[bytes]
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def hashes(self) -> list[bytes]:
        return [merkle.leaf_hash(leaf) for leaf in self.leaves]

    def manifest(self, **changes: object) -> None:
        counts = Counter(re.findall(rb'"type":"([a-z_]+)"', leaf)[-1].decode() for leaf in self.leaves)
        members = {
            "counts": dict(counts), "first": 0, "format": "demur-ledger-export/1", "kind": "range",
            "last": len(self.leaves), "log": LOG, "origin": ORIGIN, "size": len(self.leaves),
        }  # fmt: skip
        self.files["manifest.json"] = canonical(members | changes)

    def write(self, folder: Path) -> Path:
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def whole(found: list[bytes], signed: int | None = None, *, earlier: tuple[int, ...] = ()) -> Export:
    """The export of a whole ledger, signed and witnessed at `signed` records (all, where it is left out)."""
    export = Export(found)
    hashes = export.hashes
    size = len(found) if signed is None else signed
    export.files |= tiles(hashes[:size])
    export.files |= tiles(hashes)
    for end in {size, len(found)}:
        for at in range(0, end, 256):
            piece = found[at : min(at + 256, end)]
            name = tile_name("entries", at // 256, len(piece))
            if end == len(found) or len(piece) < 256:
                export.files[name] = bundle(piece)
    export.files["checkpoint"] = checkpoint(hashes, size, LOG_KEY, WITNESS).encode()
    for old in earlier:
        export.files[f"checkpoints/{old}"] = checkpoint(hashes, old, LOG_KEY, WITNESS).encode()
    export.manifest()
    return export
