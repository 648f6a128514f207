"""What somebody could do to an export, class by class, and what two verifiers that share no code say about it.

An attack changes the files of an honest export: 600 records, signed and witnessed at 590, with earlier checkpoints at
256 and 500. What attackers may hold: nothing but the files, the log's key (a dishonest operator), or both that key and
the witness (whoever can make the ledger say what it wants, and still has to obey its rules).
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeAlias

from demur.core.ledger import merkle
from demur.verifier import verify
from tests.ledger import exports
from tests.ledger.exports import LOG_KEY, POLICY, WITNESS, Export, Signer, canonical, checkpoint, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.ledger.go_verifier import GoVerifier

SIZE, SIGNED = 600, 590
MALLORY = Signer(exports.ORIGIN, 1, b"mallory")
OTHER_LOG = Signer("ledger.example/other")
Attacking: TypeAlias = "Callable[[Export], object]"


@dataclass(frozen=True)
class Attack:
    """One class: what is done, the rung that must come out, and whether the independent verifier looks at it."""

    name: str
    change: Attacking
    verdict: str = "INVALID"
    is_covered: bool = True
    policy: str = POLICY
    held: tuple[str, ...] = ()
    after: Callable[[Path], object] = field(default=lambda folder: None)
    """What is done to the folder, where bytes are not enough."""


@dataclass(frozen=True)
class Outcome:
    """What both verifiers said."""

    verdict: str
    cause: str
    independent: str

    @property
    def is_accepted(self) -> bool:
        return self.verdict in {"ANCHORED", "RECONCILED"}


@cache
def honest() -> Export:
    return exports.whole(leaves(SIZE), SIGNED, earlier=(256, 500))


@cache
def other() -> Export:
    """Another history of the same log: the same length, other decisions."""
    return exports.whole(leaves(SIZE, salt=1), SIGNED, earlier=(256, 500))


def resigned(export: Export, changed: Sequence[bytes], *signers: Signer, signed: int | None = None) -> None:
    """Make everything anew over these leaves, with a checkpoint of these keys."""
    size = min(SIGNED, len(changed)) if signed is None else signed
    files = exports.whole(list(changed), size).files
    export.leaves = list(changed)
    export.files.clear()
    export.files |= files
    export.files["checkpoint"] = checkpoint(export.hashes, size, *signers).encode()


def rechained(found: Sequence[bytes], start: int = 0) -> list[bytes]:
    """The leaves with numbers and `previous_hash` made to fit from `start` on."""
    done = list(found[:start])
    for number in range(start, len(found)):
        members = json.loads(found[number])
        members["sequence"] = number
        members["previous_hash"] = (merkle.leaf_hash(done[-1]) if done else bytes(32)).hex()
        done.append(canonical(members).strip())
    return done


def edited(number: int, old: bytes = b'"outcome":"deny"', new: bytes = b'"outcome":"allow"') -> list[bytes]:
    found = list(honest().leaves)
    assert old in found[number]
    found[number] = found[number].replace(old, new)
    return found


def as_signed(change: Callable[[list[bytes]], list[bytes]], *, is_chained: bool = True) -> Attacking:
    """The operator and the witness sign a ledger that breaks a rule."""

    def attack(export: Export) -> None:
        found = change(list(export.leaves))
        resigned(export, rechained(found) if is_chained else found, LOG_KEY, WITNESS)

    return attack


def member(number: int, **changes: object) -> Callable[[list[bytes]], list[bytes]]:
    """One leaf with other members, and the hashes of those after it made to fit."""

    def change(found: list[bytes]) -> list[bytes]:
        found[number] = canonical(json.loads(found[number]) | changes).strip()
        return chained(found, number + 1)

    return change


def raw(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(found: list[bytes]) -> list[bytes]:
        assert old in found[number]
        found[number] = found[number].replace(old, new, 1)
        return chained(found, number + 1)

    return change


def chained(found: list[bytes], start: int) -> list[bytes]:
    """Only `previous_hash` made to fit, from `start` on."""
    for number in range(start, len(found)):
        before = merkle.leaf_hash(found[number - 1]).hex().encode()
        at = found[number].index(b'"previous_hash":"') + 17
        found[number] = found[number][:at] + before + found[number][at + 64 :]
    return found


def swap(first: str, second: str) -> Attacking:
    def attack(export: Export) -> None:
        export.files[first], export.files[second] = export.files[second], export.files[first]

    return attack


def replace(name: str, old: bytes, new: bytes) -> Attacking:
    def attack(export: Export) -> None:
        assert old in export.files[name]
        export.files[name] = export.files[name].replace(old, new, 1)

    return attack


def alter(name: str, at: int) -> Attacking:
    def attack(export: Export) -> None:
        data = bytearray(export.files[name])
        data[at] ^= 1
        export.files[name] = bytes(data)

    return attack


def put(name: str, data: bytes) -> Attacking:
    return lambda export: export.files.update({name: data})


def drop(*names: str) -> Attacking:
    return lambda export: [export.files.pop(name) for name in names]


def manifest(**changes: object) -> Attacking:
    return lambda export: export.manifest(**changes)


def both(*changes: Attacking) -> Attacking:
    return lambda export: [change(export) for change in changes]


def cut(size: int, *, signed: int | None = None) -> Attacking:
    """The end cut off, everything made to fit but for the checkpoint, which stays unless `signed` names an older."""

    def attack(export: Export) -> None:
        kept = export.files["checkpoint"] if signed is None else export.files.get(f"checkpoints/{signed}", b"")
        files = exports.whole(list(export.leaves[:size]), signed or size).files | {"checkpoint": kept}
        export.leaves = export.leaves[:size]
        export.files.clear()
        export.files |= files

    return attack


def note(*signers: Signer, **changes: object) -> bytes:
    """A checkpoint over the honest records."""
    return checkpoint(honest().hashes, SIGNED, *signers, **changes).encode()  # type: ignore[arg-type]  # as given


def forged(signer: Signer, name: Signer) -> bytes:
    """A note whose signature of `signer` bears the name and id of another key."""
    made = note(signer)
    line = made.split(b" ")[-1]
    value = base64.b64decode(line)[4:]
    return made.replace(line, base64.b64encode(name.key_id + value) + b"\n")


def lines(data: bytes, *kept: int) -> bytes:
    """The note with these of its signature lines."""
    text, _, signatures = data.decode().rpartition("\n\n")
    every = signatures.splitlines(keepends=True)
    return f"{text}\n\n{''.join(every[index] for index in kept)}".encode()


def handed_over(signer: Signer, old: Signer = LOG_KEY, first: int = 101, last: int = 700) -> dict[str, object]:
    """The members of a `key_event`, its statement signed by `signer`."""
    statement = f"demur key_event v1\nhandover\n{old.vkey}\n{MALLORY.vkey}\n{first}\n{last}\n"
    return {
        "type": "key_event", "event": "handover", "origin": exports.ORIGIN, "old_key": old.public.hex(),
        "new_key": MALLORY.public.hex(), "first_size": first, "last_size": last,
        "signature": signer.private.sign(statement.encode()).hex(),
    }  # fmt: skip


def with_event(members: dict[str, object], *signers: Signer) -> Attacking:
    def attack(export: Export) -> None:
        resigned(export, member(100, **members)(list(export.leaves)), *signers)

    return attack


SALT = hashlib.sha256(b"salt").hexdigest()


def field_leaf(name: str, value: bytes) -> bytes:
    text = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return f'{{"name":"{name}","salt":"{SALT}","value":"{text}"}}'.encode()


FIELDS = [merkle.leaf_hash(field_leaf(name, value)) for name, value in (("actor", b"bot"), ("request", b"secret"))]


def disclosure(export: Export, **changes: object) -> None:
    """Record 5 commits to two fields, and discloses the second."""
    resigned(export, member(5, commit_root=merkle.root(FIELDS).hex())(list(export.leaves)), LOG_KEY, WITNESS)
    item: dict[str, object] = {
        "name": "request", "salt": SALT, "value": base64.urlsafe_b64encode(b"secret").rstrip(b"=").decode(),
        "index": 1, "size": 2, "proof": [FIELDS[0].hex()],
    }  # fmt: skip
    at = changes.pop("at", 5)
    export.files[f"disclosures/{at}.json"] = canonical({"sequence": at, "fields": [item | changes]})


def reconciled(**changes: object) -> Attacking:
    """Record 550 is the result of a comparison with meters up to record 499."""

    def attack(export: Export) -> None:
        found = list(export.leaves)
        members: dict[str, object] = {
            "type": "reconciliation", "verdict": "reconciled", "resources": ["ledger/payments"],
            "covers": {"size": 500, "head": merkle.leaf_hash(found[499]).hex()},
            "findings": {"critical": 0, "info": 2, "warning": 0},
        }  # fmt: skip
        resigned(export, member(550, **(members | changes))(found), LOG_KEY, WITNESS)

    return attack


def picked(export: Export, numbers: Sequence[int]) -> None:
    """Only some records of the second bundle, as a filtered export holds them."""
    del export.files["tile/entries/001"]
    framed = ((n % 256).to_bytes(1) + len(export.leaves[n]).to_bytes(2) + export.leaves[n] for n in numbers)
    export.files["picked/001"] = b"".join(framed)


def link(folder: Path) -> None:
    target = folder / "tile/entries/001"
    target.rename(folder.parent / "elsewhere")
    target.symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path) -> None:
    (folder / "tile/entries/001").unlink()
    os.mkfifo(folder / "tile/entries/001")


NEWEST = honest().files["checkpoint"].decode()
UNWITNESSED = f"log {LOG_KEY.vkey}\nquorum none\n"
WINDOW = f"# sizes from 0 to 500\n{POLICY}"


def run(attack: Attack, folder: Path, independent: GoVerifier | None) -> Outcome:
    """Both verifiers on the attacked export, in a folder that does not exist yet."""
    export = copy.deepcopy(honest())
    attack.change(export)
    export.write(folder)
    attack.after(folder)
    policy = folder.with_name("trust-policy.txt")
    policy.write_text(attack.policy, encoding="utf-8")
    report = judged(folder, attack.policy, attack.held)
    is_asked = independent is not None and attack.is_covered
    answer = independent.verify(folder, policy, len(export.leaves)) if is_asked and independent else "not asked"
    return Outcome(*report, answer)


def judged(folder: Path, policy: str, held: Sequence[str] = ()) -> tuple[str, str]:
    """The rung and its cause, as the command says them."""
    try:
        report = verify.verify_export(
            str(folder), verify.read_policy(policy.encode()), [note.encode() for note in held]
        )
    except verify.InvalidError as error:
        return "INVALID", str(error)
    except (verify.UndecidableError, OSError) as error:
        return "UNDECIDABLE", str(error)
    return report.verdict.name, report.cause or _told(report)


def _told(report: verify.Report) -> str:
    anchored = f"the first {report.anchor.size}, {report.beyond} beyond" if report.anchor else ""
    remarks = "".join(f"; {remark}" for remark in report.remarks)
    chosen = "chosen records of " if report.exit_code == verify.CHOSEN_ONLY else ""
    return chosen + anchored + remarks


def remember_signatures() -> None:
    """Signatures are pure arithmetic: one that was checked need not be checked again in the next of 10,000 runs."""
    if not hasattr(verify.is_signature, "cache_info"):
        verify.is_signature = lru_cache(maxsize=4096)(verify.is_signature)
