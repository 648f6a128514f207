"""Verifies an export of a Demur ledger against a trust policy that you were given by another way.

    python3 -I verify.py EXPORT --policy trust-policy.txt
    python3 -I verify.py --proof RECORD.tlog-proof --leaf RECORD.json --policy trust-policy.txt
    python3 -I verify.py --consistency PROOF --checkpoint OLD --checkpoint NEW --policy trust-policy.txt

One file, Python 3.11 or later, standard library only, no network. The formats and the rules are in docs/spec/ledger.md;
nothing in an export is trusted, and no code is shared with the program that wrote it.

Verdicts, from the strongest, with their exit codes:

    RECONCILED     20   as ANCHORED, and the ledger was compared with meters of the resources that are listed
    ANCHORED        0   whole and unaltered up to a size that keys of the policy signed; records beyond it are counted
    ANCHORED       21   so are these records, but they were chosen: what was left out cannot be judged
    INTEGRITY_ONLY 22   nothing contradicts, but nobody that you trust says where the ledger ends
    INVALID        23   something contradicts; the cause says what
    UNDECIDABLE    24   the question could not be answered: an unreadable file or policy; never read it as valid

`--at-least VERDICT` makes the exit code 0 where the verdict is that one or a stronger one. 2 is a wrong command line.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

FORMAT = "demur-ledger-export/1"
WIDTH = 256
"""Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles)."""
NO_HASH = bytes(32)
MAX_SIZE = 2**63 - 1
MAX_LEAF = 65_535
MAX_BUNDLE = WIDTH * (3 + MAX_LEAF)
MAX_SMALL_FILE = 1 << 20
MAX_CHECKPOINTS = 10_000
MAX_REMARKS = 20
FUTURE_SECONDS = 300
"""How far the clock of a witness may be ahead of this machine's."""


class Verdict(Enum):
    """The rungs of the ladder, from the strongest."""

    RECONCILED = 20
    ANCHORED = 0
    INTEGRITY_ONLY = 22
    INVALID = 23
    UNDECIDABLE = 24


CHOSEN_ONLY = 21
"""The exit code of ANCHORED for an export that holds chosen records."""


class InvalidError(Exception):
    """Something contradicts."""


class UndecidableError(Exception):
    """The question cannot be answered."""


# ---- Ed25519, RFC 8032 section 5.1.7, strict: s below the order, points in their one form ----

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]
_ZERO: Point = (0, 1, 1, 0)


def _add(a: Point, b: Point) -> Point:
    low = (a[1] - a[0]) * (b[1] - b[0]) % _P
    high = (a[1] + a[0]) * (b[1] + b[0]) % _P
    cross = 2 * a[3] * b[3] * _D % _P
    depth = 2 * a[2] * b[2] % _P
    e, f, g, h = high - low, depth - cross, depth + cross, high + low
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(data: bytes) -> Point | None:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    above, below = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = above * pow(below, 3, _P) * pow(above * pow(below, 7, _P), (_P - 5) // 8, _P) % _P
    if below * x * x % _P != above:
        x = x * _ROOT_OF_MINUS_1 % _P
    if below * x * x % _P != above or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encoded(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or _ZERO


def is_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 key made this signature over this message."""
    point = _point(public_key) if len(public_key) == 32 and len(signature) == 64 else None
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    minus = (_P - point[0], point[1], 1, _P - point[3])
    table = (_ZERO, _BASE, minus, _add(_BASE, minus))
    found = _ZERO
    for bit in range(max(scalar.bit_length(), challenge.bit_length()) - 1, -1, -1):
        found = _add(found, found)
        which = (scalar >> bit & 1) | (challenge >> bit & 1) << 1
        if which:
            found = _add(found, table[which])
    return _encoded(found) == signature[:32]


# ---- The tree of RFC 6962, section 2.1, and the checks of RFC 9162, sections 2.1.3.2 and 2.1.4.2 ----


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf, which is the hash of a record."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these nodes of one height; an odd last one moves up unchanged."""
    level = list(hashes) or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        odd = level[-1:] if len(level) & 1 else []
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


def _steps(number: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The hashes of a proof from below, each with whether it stands on the left."""
    for sibling in proof:
        _need(last > 0 and len(sibling) == 32, "the proof is too long, or holds what is no hash")
        is_left = bool(number & 1) or number == last
        while is_left and number and not number & 1:
            number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
        yield sibling, is_left
    _need(last == 0, "the proof is too short")


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises `InvalidError` unless the leaf hash stands at `index` of the tree of `size` with this root."""
    _need(0 <= index < size <= MAX_SIZE, f"expected a proof for an index below {size}, found index {index}")
    found = leaf
    for sibling, is_left in _steps(index, size - 1, proof):
        found = _node(sibling, found) if is_left else _node(found, sibling)
    _need(found == root and len(leaf) == 32, f"the inclusion proof of index {index} does not lead to the root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `InvalidError` unless the tree of size `old` is the beginning of the one of size `new`."""
    _need(0 < old <= new <= MAX_SIZE, f"expected a consistency proof from a size of 1 to {new}, found {old}")
    if old == new:
        _need(not proof and old_root == new_root, f"expected one root for the size {new}, found two")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    _need(bool(path), "the consistency proof is empty")
    trailing = (old & -old).bit_length() - 1
    first = second = path[0]
    for sibling, is_left in _steps(old - 1 >> trailing, new - 1 >> trailing, path[1:]):
        first = _node(sibling, first) if is_left else first
        second = _node(sibling, second) if is_left else _node(second, sibling)
    _need(first == old_root and second == new_root, f"the tree of size {new} does not continue the one of size {old}")


# ---- Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature ----


@dataclass(frozen=True)
class Key:
    """A verifier key: its name, the signature type, the 32 bytes, and the sizes for which a log's may sign."""

    name: str
    kind: int
    data: bytes
    first: int = 0
    last: int = MAX_SIZE

    @property
    def id(self) -> bytes:
        """The 4 bytes before its signatures."""
        name = self.name.encode("utf-8", "surrogateescape")
        return hashlib.sha256(name + b"\n" + bytes([self.kind]) + self.data).digest()[:4]

    @property
    def label(self) -> str:
        """How policies and reports name it."""
        return f"{self.name}+{self.id.hex()}"

    @property
    def text(self) -> str:
        """The verifier key of C2SP signed-note."""
        return f"{self.label}+{base64.b64encode(bytes([self.kind]) + self.data).decode()}"


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement: the first `size` records of `origin` have this root."""

    origin: str
    size: int
    root: bytes
    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except ValueError:
        data = b""
    _need(base64.b64encode(data).decode() == text, f"expected base64 in its one form, found `{_shown(text)}`")
    return data


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix("— ").partition(" ")
    data = _base64(encoded)
    is_line = line.startswith("— ") and _is_name(name) and len(data) >= 5
    _need(is_line, "expected a signature line `— name base64`, found another line")
    return name, data[:4], data[4:]


def _number(text: str) -> int:
    is_number = re.fullmatch("0|[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_SIZE
    _need(is_number, f"expected a number without leading zeroes, found `{_shown(text)}`")
    return int(text)


def read_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint in these bytes, its signatures not yet verified; raises `InvalidError`."""
    try:
        whole = data.decode()
        text, divider, lines = whole.rpartition("\n\n")
        is_note = divider and lines.endswith("\n") and re.search("[\0-\x09\x0b-\x1f]", whole) is None
        _need(bool(is_note), "expected a signed note, found something else")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n", 100))
        origin, size, root, *extensions = text.split("\n")
        is_head = origin and "" not in extensions and len(_base64(root)) == 32
        _need(bool(is_head), "expected an origin, a size and a root of 32 bytes, found something else")
        return Checkpoint(origin, _number(size), _base64(root), text + "\n", signatures)
    except (ValueError, InvalidError) as error:
        raise InvalidError(f"a checkpoint cannot be read: {_shown(error)}") from error


# ---- The trust policy: C2SP tlog-policy, and the sizes for which a log's key may sign ----


@dataclass
class Policy:
    """Whom the auditor trusts: keys of logs, keys of witnesses by their names, and the rule for how many."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key | None] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    quorum: str = ""
    window: tuple[int, int] = (0, MAX_SIZE)
    """The sizes of the log in the next line, where a comment `# sizes from 0 to 5041` stands before it."""

    def is_met(self, name: str, present: set[str]) -> bool:
        """Whether the witnesses that are present satisfy a witness, a group, or `none`."""
        least, members = self.groups.get(name, (1, []))
        return name == "none" or name in present or sum(self.is_met(each, present) for each in members) >= least

    def read(self, words: list[str]) -> None:
        """One line; raises `InvalidError` where it cannot be read."""
        match words:
            case ["log", text] | ["log", text, _]:
                key = _key(text, 1)
                _need(key is not None, "expected an Ed25519 key, found one of another type")
                self.logs += [replace(key, first=self.window[0], last=self.window[1])] if key else []
                self.window = (0, MAX_SIZE)
                _need(len({each.data for each in self.logs}) == len(self.logs), "expected a key that no other log has")
            case ["witness", name, text] | ["witness", name, text, _]:
                self._check_new(name)
                self.witnesses[name] = _key(text, 4)
                known = [each.data for each in self.witnesses.values() if each]
                _need(len(set(known)) == len(known), "expected a key that no other witness has")
            case ["group", name, least, *names] if names:
                self._read_group(name, least, names)
            case ["quorum", name] if not self.quorum:
                _need(name == "none" or self._is_named(name), f"expected a witness or a group, found `{_shown(name)}`")
                self.quorum = name
            case ["#", "sizes", "from", first, *rest] if not rest or (len(rest) == 2 and rest[0] == "to"):
                self.window = (_number(first), _number(rest[1]) if rest else MAX_SIZE)
            case _:
                raise InvalidError("expected `log`, `witness`, `group` or one `quorum`")

    def _read_group(self, name: str, least: str, names: list[str]) -> None:
        self._check_new(name)
        for member in names:
            is_free = self._is_named(member) and member not in self.members
            _need(is_free, f"expected a member that was named before and once, found `{_shown(member)}`")
            self.members.add(member)
        count = {"any": 1, "all": len(names)}.get(least) or _number(least)
        _need(1 <= count <= len(names), f"expected from 1 to {len(names)} of the members, found {count}")
        self.groups[name] = (count, names)

    def _is_named(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _check_new(self, name: str) -> None:
        is_new = name != "none" and not self._is_named(name)
        _need(is_new, f"expected a name that nobody has, found `{_shown(name)}`")


def _key(text: str, kind: int) -> Key | None:
    """The key, or None where its algorithm is one that this program cannot verify."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    data = _base64(encoded)
    key = Key(name, data[0] if data else 0, data[1:])
    _need(_is_name(name) and key.kind > 0, f"expected a key `name+id+base64`, found `{_shown(text)}`")
    if key.kind != kind:
        return None
    is_whole = key.id.hex() == key_id and len(key.data) == 32
    _need(is_whole, f"the key `{_shown(text)}` is not the one that its id names")
    return key


def read_policy(data: bytes) -> Policy:
    """The policy in these bytes; raises `UndecidableError`, for whom it trusts is then not known."""
    policy = Policy()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = [word for word in re.split("[ \t]+", line) if word]
        try:
            _need(re.search("[\0-\x08\x0b-\x1f\x7f]", line) is None, "expected no control characters")
            if words and (words[:3] == ["#", "sizes", "from"] or not words[0].startswith("#")):
                policy.read(words)
        except (ValueError, InvalidError) as error:
            raise UndecidableError(f"line {number} of the policy cannot be read: {_shown(error)}") from error
    if not policy.quorum:
        raise UndecidableError("the policy has no line `quorum`; `quorum none` asks for no witness")
    return policy


# ---- What the policy says of a checkpoint ----


@dataclass(frozen=True)
class Anchor:
    """A checkpoint that keys of the policy signed; `witnesses` with their POSIX seconds, and what it lacks."""

    size: int
    by: tuple[str, ...]
    witnesses: tuple[tuple[str, int], ...] = ()
    lacks: str = ""


def judge(checkpoint: Checkpoint, policy: Policy, remarks: list[str]) -> Anchor:
    """Who signed the checkpoint; raises `InvalidError` for a bad signature of a known key, or none of the log's."""
    logs = {(key.name, key.id): key for key in policy.logs}
    witnesses = {(key.name, key.id): (name, key) for name, key in policy.witnesses.items() if key}
    signed, times = list[Key](), dict[str, int]()
    for name, key_id, value in checkpoint.signatures:
        if key := logs.get((name, key_id)):
            _check_signature(key, checkpoint.text, value)
            signed += [key] if name == checkpoint.origin and key not in signed else []
        elif found := witnesses.get((name, key_id)):
            seconds = int.from_bytes(value[:8], "big")
            _check_signature(found[1], f"cosignature/v1\ntime {seconds}\n{checkpoint.text}", value[8:])
            if seconds <= time.time() + FUTURE_SECONDS:
                times.setdefault(found[0], seconds)
            else:
                remarks.append(f"the cosignature of `{found[0]}` lies in the future and is not counted")
    what = f"the checkpoint of `{_shown(checkpoint.origin)}` at {checkpoint.size}"
    _need(bool(signed), f"{what} is signed by no key of that log in the policy")
    by = [key.label for key in signed if key.first <= checkpoint.size <= key.last]
    _need(bool(by), f"{what} is signed by `{_shown(signed[0].label)}`, outside the sizes for which it is trusted")
    lacks = "" if policy.is_met(policy.quorum, set(times)) else f"it lacks the cosignatures of `{policy.quorum}`"
    return Anchor(checkpoint.size, tuple(by), tuple(sorted(times.items())), lacks)


def _check_signature(key: Key, text: str, signature: bytes) -> None:
    is_good = is_signature(key.data, text.encode(), signature)
    _need(is_good, f"a signature of the known key `{_shown(key.label)}` is wrong")


# ---- Leaves: section 3 of the specification ----

_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z").fullmatch


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse(text: str) -> object:
    raise ValueError(f"`{_shown(text)}` is no integer")


_READ = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse).decode
_READ_QUICKLY = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).raw_decode


def read_object(data: bytes, what: str) -> dict[str, object]:
    """The JSON object in these bytes: UTF-8, every member once, every number an integer; raises `InvalidError`."""
    try:
        found = _READ(data.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"{what} is not JSON as it has to be: {_shown(error)}") from error
    _need(isinstance(found, dict), f"{what} is no JSON object")
    return dict(found)


def _count(value: object) -> int:
    """How many members the objects in a JSON value have together."""
    if isinstance(value, dict):
        return len(value) + sum([_count(item) for item in value.values() if item.__class__ in _NESTED])
    return sum([_count(item) for item in value]) if isinstance(value, list) else 0


_NESTED = frozenset({dict, list})


def _read_leaf(leaf: bytes) -> dict[str, object] | None:
    """The members of a leaf in canonical form, None for any other: it must be read by the slow way.

    Without an escape and without white space, `":` stands at least once for every member that was written; so where it
    stands just as often as members were found, none was written twice.
    """
    try:
        text = leaf.decode("ascii")
        members, end = _READ_QUICKLY(text)
    except (ValueError, RecursionError):
        return None
    is_loose = "\\" in text or " " in text or "\n" in text or "\r" in text or "\t" in text
    if is_loose or end != len(text) or text.count('":') != _count(members) or members.__class__ is not dict:
        return None
    return members if list(members) == sorted(members) else None


@dataclass
class Chain:
    """What was seen of the records so far."""

    log: str
    remarks: list[str]
    counts: dict[str, int] = field(default_factory=dict)
    records: int = 0
    loose: int = 0
    instant: tuple[str, str] = ("", "")
    reconciliation: tuple[int, dict[str, object]] | None = None

    def check(self, leaf: bytes, sequence: int, before: bytes) -> dict[str, object]:
        """The members of the record, which must follow the one with the hash `before`; raises `InvalidError`."""
        members = _read_leaf(leaf)
        if members is None:
            members = read_object(leaf, f"record {sequence}")
            self.loose += 1
        get = members.get
        if get("sequence") != sequence or get("sequence").__class__ is not int:
            raise InvalidError(f"record {sequence} bears the number `{_shown(get('sequence'))}`")
        if get("previous_hash") != before.hex():
            raise InvalidError(f"record {sequence} does not follow the one before: `previous_hash` is another")
        kind, timestamp = get("type"), get("timestamp")
        if get("log") != self.log or "v" not in members or not isinstance(kind, str):
            raise InvalidError(f"record {sequence} is not one of log `{_shown(self.log)}`, or lacks a member")
        found = _TIME(timestamp) if isinstance(timestamp, str) else None
        if found is None:
            raise InvalidError(f"record {sequence} bears no time in UTC, but `{_shown(timestamp)}`")
        instant = (found[1], (found[2] or "").ljust(9, "0"))
        if instant < self.instant:
            raise InvalidError(f"the time of record {sequence} lies before that of the one before")
        self.instant = instant
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.records += 1
        if kind == "reconciliation":
            self.reconciliation = (sequence, members)
        return members


# ---- The folder of an export ----

_TILE = re.compile(r"(?:tile/(0|[1-7]|entries)|(picked))/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def tile_path(kind: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile of a level, a bundle of `entries` or of `picked` ones is: C2SP tlog-tiles."""
    digits = f"{number:03d}"
    digits = "0" * (-len(digits) % 3) + digits
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return f"{kind if kind == 'picked' else f'tile/{kind}'}/{path}" + ("" if width == WIDTH else f".p/{width}")


def is_expected(name: str, size: int, newest: int) -> bool:
    """Whether a tree of `size`, whose newest checkpoint is of size `newest`, has a tile or bundle of this name."""
    found = _TILE.fullmatch(name)
    if found is None:
        return False
    kind, number, width = found[1] or found[2], int(re.sub("[x/]", "", found[3])), int(found[4] or WIDTH)
    level = int(kind) if kind.isdigit() else 0
    if name != tile_path(kind, number, width):
        return False
    if kind == "picked":
        return number * WIDTH < size
    full = number < size >> 8 * (level + 1) and width == WIDTH
    return full or any((number, width) == divmod(edge >> 8 * level, WIDTH) for edge in (size, newest))


def read_file(path: str, limit: int = MAX_SMALL_FILE) -> bytes | None:
    """The bytes of a regular file, None where there is none; never through a link, never more than `limit`."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as file:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        data = file.read(limit + 1) if is_regular else b""
    _need(is_regular, f"expected a regular file `{_shown(path)}`, found something else")
    _need(len(data) <= limit, f"expected at most {limit} bytes in `{_shown(path)}`, found more")
    return data


class Folder:
    """Reads the files of an export. No path is ever taken from what is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        if not os.path.isdir(path):
            raise UndecidableError(f"expected a folder with an export, found none at `{_shown(path)}`")

    def find(self, name: str, limit: int = MAX_SMALL_FILE) -> bytes | None:
        """The bytes of a file, None where there is none."""
        return read_file(os.path.join(self.path, *name.split("/")), limit)

    def read(self, name: str, limit: int = MAX_SMALL_FILE) -> bytes:
        """The bytes of a file that has to be there."""
        data = self.find(name, limit)
        if data is None:
            raise InvalidError(f"`{name}` is missing")
        return data

    def read_tile(self, level: int, number: int, width: int) -> bytes:
        """A tile that has to be there, with as many hashes as it has to have."""
        name = tile_path(level, number, width)
        data = self.read(name)
        _need(len(data) == width * 32, f"expected {width} hashes in `{name}`, found another length")
        return data

    def names(self) -> Iterator[str]:
        """The path of every file; raises `InvalidError` for what is neither file nor folder, such as a link."""
        waiting = [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            with os.scandir(os.path.join(self.path, folder)) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    is_folder = entry.is_dir(follow_symlinks=False) and depth < 16
                    is_known = is_folder or entry.is_file(follow_symlinks=False)
                    _need(is_known, f"expected files and folders, found `{_shown(name)}`, which is neither")
                    if is_folder:
                        waiting.append((name, depth + 1))
                    else:
                        yield name


@dataclass(frozen=True)
class Manifest:
    """What the export says it holds; each member is checked against what is there."""

    log: str
    origin: str
    kind: str
    first: int
    last: int
    size: int
    counts: dict[str, object]


def read_canonical(data: bytes, what: str) -> dict[str, object]:
    """The JSON object in a file that has one form only; raises `InvalidError`."""
    members = read_object(data, what)
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    _need(data == canonical, f"expected {what} in canonical form, found another")
    return members


def read_manifest(data: bytes) -> Manifest:
    """The manifest in these bytes; raises `InvalidError`."""
    members = read_canonical(data, "the manifest")
    names = ["log", "origin", "kind", "first", "last", "size", "counts"]
    allowed = {"format", *names} | ({"filter", "of"} if members.get("kind") == "filter" else set())
    _need(set(members) == allowed, "the manifest lacks a member, or has one too many")
    types = [members[name].__class__ for name in names]
    is_formed = types == [str, str, str, int, int, int, dict] and members["kind"] in ("range", "filter")
    _need(is_formed and members["format"] == FORMAT, f"expected a manifest of `{FORMAT}`, found another")
    found = Manifest(*[members[name] for name in names])  # type: ignore[arg-type]  # as checked above
    _need(0 <= found.first <= found.last <= found.size < 1 << 48, "the manifest says sizes that cannot be")
    return found


# ---- Reading an export from its first record to its last ----


class Reading:
    """One pass over an export: `roots` and `heads` hold the root and the last hash at every size asked for."""

    def __init__(self, folder: Folder, manifest: Manifest, newest: int, disclosed: set[int]) -> None:
        self.folder, self.manifest, self.newest, self.disclosed = folder, manifest, newest, disclosed
        self.chain = Chain(manifest.log, [])
        self.roots, self.heads = dict[int, bytes](), dict[int, bytes]()
        self.events: list[tuple[int, dict[str, object]]] = []
        self._levels: list[list[bytes]] = []
        self._done: list[int] = []
        self._before: bytes | None = NO_HASH

    def run(self, sizes: set[int]) -> None:
        """Check everything, and note the root at each of `sizes`; raises `InvalidError` at the first contradiction."""
        wanted: dict[int, list[int]] = {}
        for size in sizes | {self.manifest.size}:
            wanted.setdefault(size // WIDTH, []).append(size)
        for number in range(self.manifest.size // WIDTH + 1):
            width = min(WIDTH, self.manifest.size - number * WIDTH)
            before = self._before
            hashes = self._tile(number, width) if width else []
            for size in wanted.get(number, ()):
                self._note(size, hashes, before)
            if hashes is None or width == WIDTH:
                self._push(1, root_of(hashes) if hashes else self._node_above(number))
            self._before = hashes[-1] if hashes else None
        _need(self.chain.counts == self.manifest.counts, "the manifest counts other records than there are")

    def _tile(self, number: int, width: int) -> list[bytes] | None:
        """The hashes of a tile of level 0, with its records checked; None where the export has left it out."""
        start = number * WIDTH
        low, high = max(self.manifest.first - start, 0), min(self.manifest.last - start, width)
        is_all = high - low == width
        entries, picked = tile_path("entries", number, width), tile_path("picked", number)
        whole, some = self.folder.find(entries, MAX_BUNDLE), self.folder.find(picked, MAX_BUNDLE)
        _need(low < high or (whole is None and some is None), f"`{entries}` or `{picked}` is outside of the range")
        if self.manifest.kind == "range" and low < high:
            _need((whole if is_all else some) is not None, f"`{entries if is_all else picked}` is missing")
            _need((some if is_all else whole) is None, f"both or the wrong one of `{entries}` and `{picked}` are there")
        is_needed = whole is not None or some is not None or width < WIDTH
        if not is_needed and self.folder.find(tile_path(0, number)) is None:
            return None
        tile = self.folder.read_tile(0, number, width)
        hashes = [tile[at : at + 32] for at in range(0, len(tile), 32)]
        if whole is not None:
            self._check_records(_framed(whole, width), start, hashes)
            self._check_early_bundle(number, whole)
        elif some is not None:
            self._check_records(_placed(some, range(low, high), self.manifest.kind == "range"), start, hashes)
        return hashes

    def _check_records(self, entries: Iterator[tuple[int, bytes]], start: int, hashes: list[bytes]) -> None:
        check, sha256 = self.chain.check, hashlib.sha256
        for place, leaf in entries:
            sequence = start + place
            if place >= len(hashes) or sha256(b"\0" + leaf).digest() != hashes[place]:
                raise InvalidError(f"record {sequence}, or its hash in the tile, was altered")
            before = hashes[place - 1] if place else self._before
            if before is None:
                raise InvalidError(f"the tile before record {sequence} is missing")
            members = check(leaf, sequence, before)
            if sequence in self.disclosed:
                self._check_disclosure(sequence, members)
            if members["type"] == "key_event":
                self.events.append((sequence, members))
        _need(len(self.chain.counts) <= WIDTH, f"expected at most {WIDTH} types of records, found more")

    def _check_early_bundle(self, number: int, data: bytes) -> None:
        """The beginning of a bundle that belongs to the newest checkpoint, where that ends within the bundle."""
        width = self.newest % WIDTH
        if self.newest == self.manifest.size or self.newest // WIDTH != number or not width:
            return
        name = tile_path("entries", number, width)
        if (early := self.folder.find(name, MAX_BUNDLE)) is not None:
            is_whole = len(list(_framed(early, width))) == width
            _need(is_whole and data.startswith(early), f"`{name}` is not the beginning of its bundle")

    def _check_disclosure(self, sequence: int, members: dict[str, object]) -> None:
        name = f"disclosures/{sequence}.json"
        found = read_canonical(self.folder.read(name), f"`{name}`")
        fields = found.get("fields")
        is_formed = set(found) == {"fields", "sequence"} and found["sequence"] == sequence
        _need(is_formed and isinstance(fields, list) and bool(fields), f"`{name}` discloses nothing of its record")
        for item in fields if isinstance(fields, list) else ():
            check_field(item, members.get("commit_root"), f"`{name}`")
        self.disclosed.discard(sequence)

    def _node_above(self, number: int) -> bytes:
        """The root of a tile that the export leaves out, from the tile above it."""
        above, place = divmod(number, WIDTH)
        tile = self.folder.read_tile(1, above, min(WIDTH, self.manifest.size // WIDTH - above * WIDTH))
        return tile[place * 32 : place * 32 + 32]

    def _push(self, level: int, node: bytes) -> None:
        if len(self._levels) < level:
            self._levels.append([])
            self._done.append(0)
        self._levels[level - 1].append(node)
        hashes = self._levels[level - 1]
        if len(hashes) == WIDTH:
            self._check_tile(level, self._done[level - 1], hashes)
            self._done[level - 1] += 1
            self._levels[level - 1] = []
            self._push(level + 1, root_of(hashes))

    def _check_tile(self, level: int, number: int, hashes: list[bytes]) -> None:
        tile = self.folder.read_tile(level, number, len(hashes))
        _need(tile == b"".join(hashes), f"`{tile_path(level, number, len(hashes))}` is not the tile over the records")

    def _note(self, size: int, hashes: list[bytes] | None, before: bytes | None) -> None:
        """Keep the root at this size, which ends in the tile with these hashes; check the partial tiles there."""
        if hashes is None and size % WIDTH:
            raise UndecidableError(f"the export does not hold what the root at size {size} is computed from")
        nodes = (hashes or [])[: size % WIDTH]
        self.heads[size] = nodes[-1] if nodes else before or NO_HASH
        for level, pending in enumerate([nodes, *self._levels]):
            number, width = divmod(size >> 8 * level, WIDTH)
            is_kept = size == self.newest and self.folder.find(tile_path(level, number, width)) is not None
            if width and (size == self.manifest.size or is_kept):
                self._check_tile(level, number, pending)
            nodes = nodes if level == 0 else [*pending, root_of(nodes)] if nodes else pending
        self.roots[size] = root_of(nodes)


def _framed(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The entries of a bundle: each a length of two bytes and the leaf."""
    at, size = 0, len(data)
    for place in range(count):
        begin = at + 2
        at = begin + (data[at] << 8 | data[at + 1]) if begin <= size else size + 1
        if at > size:
            raise InvalidError("a bundle of entries is cut off")
        yield place, data[begin:at]
    _need(at == size, "a bundle of entries holds more than its records")


def _placed(data: bytes, expected: range, needs_all: object) -> Iterator[tuple[int, bytes]]:
    """The entries of a picked bundle: each its place, one byte, then a length of two bytes and the leaf."""
    at, places = 0, [-1]
    while at < len(data):
        begin = at + 3
        end = begin + int.from_bytes(data[at + 1 : begin], "big")
        _need(begin <= len(data) and end <= len(data), "a bundle of picked entries is cut off")
        is_next = data[at] > places[-1] and data[at] in expected
        _need(is_next, "a bundle of picked entries is out of order, or holds records outside of the range")
        places.append(data[at])
        yield data[at], data[begin:end]
        at = end
    is_all = places[1:] == list(expected) if needs_all else len(places) > 1
    _need(is_all, "a bundle of picked entries holds other records than it has to")


def check_field(item: object, root: object, name: str) -> None:
    """Raises `InvalidError` unless the disclosed field is one that the record committed to: section 4."""
    names = ["index", "name", "proof", "salt", "size", "value"]
    found = item if isinstance(item, dict) and sorted(item) == names else {}
    types = [found.get(member).__class__ for member in names]
    _need(types == [int, str, list, str, int, str], f"{name} holds a field of another form")
    label, salt, value = found["name"], found["salt"], found["value"]
    is_formed = re.fullmatch("[A-Za-z0-9_.:/-]{1,128}", label) and re.fullmatch("[A-Za-z0-9_-]*", value)
    _need(is_formed is not None, f"{name} holds a field whose name or value has another form")
    commit_root, _, *proof = [_hash(text) for text in (root, salt, *found["proof"])]
    leaf = f'{{"name":"{label}","salt":"{salt}","value":"{value}"}}'.encode()
    try:
        check_inclusion(found["index"], found["size"], leaf_hash(leaf), proof, commit_root)
    except InvalidError as error:
        raise InvalidError(f"the field `{label}` in {name} is not one that the record committed to") from error


def _hash(text: object) -> bytes:
    is_hash = isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None
    _need(is_hash, f"expected 64 hex digits, found `{_shown(text)}`")
    return bytes.fromhex(str(text))


# ---- The verdict ----


@dataclass
class Report:
    """The answer: the rung, why it is no higher one, and what was found."""

    verdict: Verdict
    cause: str = ""
    manifest: Manifest | None = None
    records: int = 0
    anchor: Anchor | None = None
    beyond: int = 0
    resources: tuple[str, ...] = ()
    disclosed: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The code of the verdict, another one where the records were chosen."""
        is_chosen = self.manifest is not None and self.manifest.kind == "filter"
        return CHOSEN_ONLY if self.verdict is Verdict.ANCHORED and is_chosen else self.verdict.value

    def document(self) -> dict[str, object]:
        """The report as JSON."""
        found: dict[str, object] = {"verdict": self.verdict.name, "exit_code": self.exit_code, "cause": self.cause}
        if self.manifest is not None:
            found |= vars(self.manifest) | {"records": self.records, "disclosed": self.disclosed}
        if self.anchor is not None:
            witnesses = [{"name": name, "time": _utc(seconds)} for name, seconds in self.anchor.witnesses]
            anchor = {"size": self.anchor.size, "by": list(self.anchor.by), "witnesses": witnesses}
            found |= {"anchor": anchor, "beyond": self.beyond}
        return found | {"resources": list(self.resources), "remarks": self.remarks}

    def lines(self) -> Iterator[str]:
        """The report for people."""
        yield f"{self.verdict.name}: {self.cause}" if self.cause else self.verdict.name
        if (m := self.manifest) is not None:
            what = "chosen by a filter" if m.kind == "filter" else f"all from {m.first} up to, not including, {m.last}"
            yield f"  records: {self.records} of log `{_shown(m.log)}`, {what}"
        if self.anchor is not None:
            yield f"  anchored: the first {self.anchor.size} of the ledger, by {_shown(', '.join(self.anchor.by), 300)}"
            yield from (f"  witness: {_shown(name)} at {_utc(seconds)}" for name, seconds in self.anchor.witnesses)
        if self.anchor is not None and self.manifest is not None:
            yield f"  beyond: {self.beyond} records that the anchor does not cover"
        for name, items in (("reconciled", self.resources), ("remark", self.remarks)):
            yield from (f"  {name}: {_shown(item, 300)}" for item in items)
        if self.disclosed:
            yield f"  disclosed: fields of {self.disclosed} of the records, each as the record committed to it"


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _shown(value: object, limit: int = 120) -> str:
    """Text from outside: without control characters, and of bounded length."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:limit])


def _need(is_met: object, otherwise: str) -> None:
    if not is_met:
        raise InvalidError(otherwise)


Head = tuple[int, bytes]
"""The end of a chain: its size, and the hash of its last record."""


def verify_export(path: str, policy: Policy | None, held: Sequence[bytes] = (), head: Head | None = None) -> Report:
    """The verdict on the export in this folder; `held` are checkpoints, and `head` a chain's end, kept elsewhere."""
    folder = Folder(path)
    data, newest = folder.find("manifest.json"), folder.find("checkpoint")
    if data is None:
        raise UndecidableError("expected an export with `manifest.json`, found none")
    manifest = read_manifest(data)
    checkpoints = [read_checkpoint(newest)] if newest is not None else []
    end, remarks = checkpoints[0].size if checkpoints else manifest.size, list[str]()
    sizes, disclosed = _check_names(folder, manifest, end, remarks)
    for size in sorted(sizes):
        checkpoints.append(read_checkpoint(folder.read(f"checkpoints/{size}")))
        _need(checkpoints[-1].size == size, f"`checkpoints/{size}` holds a checkpoint of another size")
    origins = {item.origin for item in checkpoints} or {""}
    _need(origins == {manifest.origin}, "the manifest and the checkpoints name different logs")
    reading = Reading(folder, manifest, end, set(disclosed))
    checkpoints += [read_checkpoint(data) for data in held]
    most = max([item.size for item in checkpoints] + ([head[0]] if head else [0]))
    cut = f"the export ends at {manifest.size} records, but a checkpoint or head says {most}: the end was cut off"
    _need(most <= manifest.size, cut)
    reading.run({item.size for item in checkpoints} | ({head[0]} if head else set()))
    _need(not reading.disclosed, "there are disclosures of records that the export does not hold")
    for item in checkpoints:
        is_same = reading.roots[item.size] == item.root
        _need(is_same, f"the checkpoint of size {item.size} has another root than the records")
    if head:
        _need(reading.heads[head[0]] == head[1], f"the first {head[0]} records are not those of the given head")
    if reading.chain.loose:
        remarks.append(f"{reading.chain.loose} leaves are not in canonical form; their hashes cover them as they are")
    report = Report(Verdict.INTEGRITY_ONLY, "", manifest, reading.chain.records, None, 0, (), len(disclosed), remarks)
    _conclude(report, reading, _anchors(checkpoints, policy, head, reading, remarks), policy)
    return report


def _check_names(folder: Folder, manifest: Manifest, newest: int, remarks: list[str]) -> tuple[list[int], list[int]]:
    """The sizes of earlier checkpoints and the records with disclosures; raises `InvalidError` for a stray file."""
    sizes, disclosed = list[int](), list[int]()
    for name in folder.names():
        top, _, rest = name.partition("/")
        if top in {"tile", "picked"}:
            is_there = is_expected(name, manifest.size, newest)
            _need(is_there, f"`{_shown(name)}` has no place in a ledger of {manifest.size} records")
        elif top == "checkpoints":
            sizes.append(_number(rest))
        elif top == "disclosures":
            disclosed.append(_number(rest[:-5] if rest.endswith(".json") else rest + "?"))
        elif name not in {"manifest.json", "checkpoint"} and len(remarks) < MAX_REMARKS:
            remarks.append(f"`{name}` is no part of an export and was not read")
        _need(len(sizes) <= MAX_CHECKPOINTS, f"expected at most {MAX_CHECKPOINTS} checkpoints, found more")
    return sizes, disclosed


def _anchors(
    checkpoints: list[Checkpoint], policy: Policy | None, head: Head | None, reading: Reading, remarks: list[str]
) -> list[Anchor]:
    """What each checkpoint and the head are worth, from the smallest size on."""
    anchors: list[Anchor] = []
    if policy is not None:
        for sequence, members in reading.events:
            _hand_over(policy, sequence, members, remarks)
        anchors = [judge(item, policy, remarks) for item in checkpoints]
        remarks += [f"of the checkpoint of size {each.size}: {each.lacks}" for each in anchors if each.lacks]
    anchors += [Anchor(head[0], ("the head that you gave",))] if head else []
    return sorted(anchors, key=lambda anchor: anchor.size)


def _hand_over(policy: Policy, sequence: int, members: dict[str, object], remarks: list[str]) -> None:
    """Trust the key that a trusted key handed over to in a `key_event` record: docs/spec/checkpoints.md."""
    names = ("event", "origin", "old_key", "new_key", "first_size", "last_size")
    event, origin, old_hex, new_hex, first, last = (members.get(name) for name in names)
    is_formed = event in {"handover", "retirement"} and [first.__class__, last.__class__] == [int, int]
    _need(is_formed and isinstance(origin, str), f"record {sequence} is no key event of the form expected")
    old, new = (Key(str(origin), 1, _hash(text)) for text in (old_hex, new_hex))
    signer = old if event == "handover" else new
    if all((key.name, key.data) != (signer.name, signer.data) for key in policy.logs):
        remarks.append(f"record {sequence} hands over between keys that the policy does not know, and was ignored")
        return
    statement = "\n".join(["demur key_event v1", str(event), old.text, new.text, str(first), str(last), ""])
    signature = re.fullmatch("[0-9a-f]{128}", str(members.get("signature")))
    _check_signature(signer, statement, bytes.fromhex(signature[0]) if signature else b"")
    if event == "handover":
        end = int(str(last))
        policy.logs = [replace(key, last=min(key.last, end)) if key.data == old.data else key for key in policy.logs]
        if all(key.data != new.data for key in policy.logs):
            policy.logs.append(replace(new, first=int(str(first))))


def _conclude(report: Report, reading: Reading, anchors: list[Anchor], policy: Policy | None) -> None:
    """Set the rung that was reached."""
    manifest = reading.manifest
    best = next((anchor for anchor in reversed(anchors) if not anchor.lacks), None)
    if best is None or best.size <= manifest.first < manifest.last:
        cause = "no trust policy was given" if policy is None else "there is no checkpoint"
        cause = f"no checkpoint satisfies the policy, {anchors[-1].lacks}" if anchors else cause
        cause = f"the newest checkpoint, of size {best.size}, covers none of these records" if best else cause
        report.cause = f"{cause}; nothing shows that no records were cut off at the end or that all was not made anew"
        return
    report.verdict, report.anchor = Verdict.ANCHORED, best
    report.cause = "these records only, others may be missing" if manifest.kind == "filter" else ""
    report.beyond = max(0, manifest.last - max(manifest.first, best.size))
    if manifest.kind == "range" and manifest.first == 0 and reading.chain.reconciliation is not None:
        _reconcile(report, reading, best, *reading.chain.reconciliation)


def _reconcile(report: Report, reading: Reading, anchor: Anchor, sequence: int, members: dict[str, object]) -> None:
    """RECONCILED where the newest `reconciliation` record allows it: docs/spec/completeness.md."""
    covers, findings, resources = (members.get(name) for name in ("covers", "findings", "resources"))
    what = f"record {sequence} is no reconciliation of the form expected, or covers other records than these"
    if not isinstance(covers, dict) or not isinstance(findings, dict) or not isinstance(resources, list):
        raise InvalidError(what)
    size = covers.get("size")
    if size.__class__ is not int or not 0 < size <= sequence:
        raise InvalidError(what)
    number, place = divmod(size - 1, WIDTH)
    tile = reading.folder.read_tile(0, number, min(WIDTH, reading.manifest.size - number * WIDTH))
    _need(tile[place * 32 : place * 32 + 32].hex() == covers.get("head"), what)
    is_clean = members.get("verdict") == "reconciled" and findings.get("critical") == findings.get("warning") == 0
    if sequence < anchor.size and is_clean and "since" not in members:
        report.verdict, report.resources = Verdict.RECONCILED, tuple(str(item) for item in resources)
        report.remarks.append(f"the first {size} records were compared with meters, {report.records - size} were not")


# ---- One record, or two checkpoints ----


def verify_proof(data: bytes, leaf: bytes, policy: Policy | None) -> Report:
    """The verdict on one record with its `.tlog-proof` (C2SP tlog-proof)."""
    header, *lines = data.decode("utf-8", "replace").split("\n")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    is_proof = header == "c2sp.org/tlog-proof@v1" and "" in lines and lines[0].startswith("index ")
    _need(is_proof, "expected a proof `c2sp.org/tlog-proof@v1`, found something else")
    end = lines.index("")
    index, proof = _number(lines[0][6:]), _hashes(lines[1:end])
    checkpoint = read_checkpoint("\n".join(lines[end + 1 :]).encode())
    check_inclusion(index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
    _need(read_object(leaf, "the leaf").get("sequence") == index, f"the leaf is not that of record {index}")
    return _proved([checkpoint], policy, f"record {index} is in the ledger of {checkpoint.size} records")


def verify_consistency(data: bytes, held: Sequence[bytes], policy: Policy | None) -> Report:
    """The verdict on two checkpoints and the proof between them: one base64 hash per line."""
    old, new = (read_checkpoint(text) for text in held)
    _need(old.origin == new.origin, "the two checkpoints are of different logs")
    lines = data.decode("utf-8", "replace").split("\n")
    check_consistency(old.size, new.size, old.root, new.root, _hashes([line for line in lines if line]))
    return _proved([old, new], policy, f"the ledger of {new.size} records continues the one of {old.size}")


def _hashes(lines: list[str]) -> list[bytes]:
    _need(len(lines) <= 128, "expected a proof of at most 128 hashes, found more")
    return [_base64(line) for line in lines]


def _proved(checkpoints: list[Checkpoint], policy: Policy | None, what: str) -> Report:
    remarks = [what]
    anchors = [judge(item, policy, remarks) for item in checkpoints] if policy is not None else []
    lacks = next((anchor.lacks for anchor in anchors if anchor.lacks), "" if anchors else "no trust policy was given")
    if lacks:
        return Report(Verdict.INTEGRITY_ONLY, f"nobody that you trust vouches for it: {lacks}", remarks=remarks)
    return Report(Verdict.ANCHORED, anchor=anchors[-1], remarks=remarks)


# ---- The command ----


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("verify.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", nargs="?", metavar="EXPORT", help="the folder of an export")
    parser.add_argument("--policy", metavar="FILE", help="whom you trust (C2SP tlog-policy), given by another way")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint that you kept")
    parser.add_argument("--head", metavar="SIZE:HASH", help="the end of the chain that you kept")
    parser.add_argument("--proof", metavar="FILE", help="the proof of one record (C2SP tlog-proof), with --leaf")
    parser.add_argument("--leaf", metavar="FILE", help="the bytes of that record")
    parser.add_argument("--consistency", metavar="FILE", help="the proof between two checkpoints, the older one first")
    parser.add_argument("--at-least", metavar="VERDICT", type=str.upper, choices=[rung.name for rung in Verdict])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    asked = [options.export, options.proof, options.consistency]
    is_pair = options.consistency is None or len(options.checkpoint) == 2
    if [what is None for what in asked].count(False) != 1 or bool(options.proof) != bool(options.leaf) or not is_pair:
        parser.error("expected an export, or --proof with --leaf, or --consistency with two --checkpoint")
    if options.head is not None and re.fullmatch("[1-9][0-9]{0,17}:[0-9a-f]{64}", options.head) is None:
        parser.error("expected a head such as `41:9f86...`")
    return options


def _given(path: str) -> bytes:
    data = read_file(os.path.realpath(path))
    if data is None:
        raise UndecidableError(f"`{_shown(path)}` cannot be read: there is none")
    return data


def _run(options: argparse.Namespace) -> Report:
    policy = read_policy(_given(options.policy)) if options.policy is not None else None
    held = [_given(path) for path in options.checkpoint]
    if options.proof is not None:
        return verify_proof(_given(options.proof), _given(options.leaf), policy)
    if options.consistency is not None:
        return verify_consistency(_given(options.consistency), held, policy)
    size, _, digest = (options.head or "0:").partition(":")
    return verify_export(options.export, policy, held, (int(size), bytes.fromhex(digest)) if options.head else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the command line names, print the report, and return the exit code."""
    options = _options(arguments)
    try:
        report = _run(options)
    except InvalidError as error:
        report = Report(Verdict.INVALID, str(error))
    except (UndecidableError, OSError, MemoryError, RecursionError) as error:
        report = Report(Verdict.UNDECIDABLE, _shown(error, 300) or "the machine gave up")
    text = json.dumps(report.document()) if options.json else "\n".join(report.lines())
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    rungs = list(Verdict)
    is_enough = options.at_least and rungs.index(report.verdict) <= rungs.index(Verdict[options.at_least])
    return 0 if is_enough and report.exit_code != CHOSEN_ONLY else report.exit_code


if __name__ == "__main__":
    sys.exit(main())
