"""What the command line may ask of the service that owns a home, through a socket in that home.

    home/demur.sock      0600; connects only processes of the home's owner, which the kernel vouches for

    4 bytes length, big-endian | MessagePack [version, target, name, {parameter: value}]          one call, then
    4 bytes length, big-endian | MessagePack [result, fault]                                      one answer

- `CALLS` is all that can be asked: what `demur` writes to a home that nobody serves. Whoever may connect could stop the
  service and do the same to the home itself; so nobody gains anything by it, and programs and people are managed as by
  `local`. What needs a person's credential (rulings, levers, erasures) needs it here too, in the call (S7.4).
- Values have the declared types, or nothing is done. What a step raises is raised on the other side as it was.

Clauses: S7.4, S11.1, S12.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from demur import errors
from demur.core.access import Role
from demur.core.delegation import Delegation
from demur.core.forgetting import Erasure, Hold
from demur.core.lever import Opening, Stop
from demur.core.policy.document import Narrowing
from demur.core.refusal import Refusal
from demur.core.retention import RetentionClass
from demur.core.review import Review
from demur.core.scope import Scope
from demur.core.standing import Standing
from demur.core.terms import Timestamp
from demur.errors import ConfigurationError, DemurError, IntakeError, StoreError
from demur.steps.attesting import Registered
from demur.steps.enrolling import LOCAL
from demur.steps.retaining import Retention
from demur.steps.revealing import Revealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "demur.sock"
VERSION = 1
MAX_BYTES = 16 << 20
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")
"""`struct ucred` (unix(7)): process, user and group of the other side."""
_MAX_PATH = 100
"""Bytes that an address of a socket may have everywhere (sockaddr_un, 104 to 108)."""
_pack = msgspec.msgpack.Encoder().encode


class Call(NamedTuple):
    """One thing that can be asked: its parameters in order, with their types, and the type of what comes back."""

    takes: dict[str, msgspec.msgpack.Decoder[Any]]
    gives: msgspec.msgpack.Decoder[Any]


def _call(gives: Any, **takes: Any) -> Call:  # noqa: ANN401  (types are values here)
    # Made once: threads that decode into a type for the first time at the same moment crash the library.
    decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in takes.items()}
    return Call(decoders, msgspec.msgpack.Decoder(gives))


_TEXTS, _WHOM = tuple[str, ...], dict[str, str]
_BY: dict[str, Any] = {"credential": str, "reason": str}
CALLS: Mapping[str, Mapping[str, Call]] = {
    "gate": {
        "kill": _call(Stop, actions=_TEXTS, actor=_WHOM | None, **_BY),
        "release": _call(None, stop_id=str, **_BY),
        "break_glass": _call(Opening, subject=_WHOM, actions=_TEXTS, seconds=int, **_BY),
        "end_glass": _call(None, opening_id=str, **_BY),
        "revoke": _call(Refusal | None, grant_id=str, **_BY),
        "quarantine": _call(str, subject=_WHOM, session=str, caller=str, **_BY),
        "lift": _call(None, key=str, **_BY),
        "rule": _call(
            Review,
            review_id=str,
            verdict=str,
            narrows=tuple[Narrowing, ...],
            grant_seconds=int | None,
            on_behalf=str,
            **_BY,
        ),
        "take": _call(Review, review_id=str, credential=str, seconds=int),
        "give_back": _call(Review, review_id=str, credential=str),
        "assign": _call(Review, review_id=str, to=str, seconds=int, **_BY),
        "delegate": _call(Delegation, to=str, until=Timestamp, roles=_TEXTS, **_BY),
        "end_delegation": _call(None, delegation_id=str, **_BY),
        "standing_grant": _call(Standing, what=Scope | str, **_BY),
        "standing_revoke": _call(Standing, standing_id=str, **_BY),
        "reveal": _call(Revealed, audit_id=str, path=str, **_BY),
        "erase": _call(Erasure, person=str, **_BY),
        "hold": _call(Hold, person=str, **_BY),
        "release_hold": _call(None, hold_id=str, **_BY),
        "retain": _call(Retention, classes=tuple[RetentionClass, ...], **_BY),
        "rotate_key": _call(str, overlap=int, **_BY),
        "rotate_master": _call(int, **_BY),
        "register_meter": _call(Registered, name=str, resource=str, key=str, actions=_TEXTS, every_seconds=int, **_BY),
        "submit_meter": _call(bool, statement=bytes),
        "record_reconciliation": _call(str, members=dict[str, Any], report=bytes),
    },
    "enrolment": {
        "add_program": _call(
            str,
            name=str,
            roles=tuple[Role, ...],
            subjects=_TEXTS,
            actor=str,
            obligations=_TEXTS,
            owner=str,
            expires_at=Timestamp | None,
        ),
        "rotate_program": _call(str, name=str, overlap_seconds=int, expires_at=Timestamp | None),
        "remove_program": _call(None, name=str),
    },
    "people": {
        "add": _call(
            str,
            name=str,
            roles=tuple[Role, ...],
            panels=_TEXTS,
            provider=tuple[str, str] | None,
            groups=_TEXTS,
            languages=_TEXTS,
        ),
        "remove": _call(None, name=str),
        "listed": _call(list[dict[str, Any]]),
    },
}
"""Parameters are named as the methods name them; where one is left out, the method's own default holds."""


class _Asked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    target: str
    name: str
    given: dict[str, msgspec.Raw]


class _Fault(msgspec.Struct, frozen=True, array_like=True):
    """An error of `demur.errors` by its name; `place` is where a request was malformed, by what was expected there."""

    kind: str
    message: str
    hint: str = ""
    place: tuple[str, str, str] | None = None


class _Told(msgspec.Struct, frozen=True, array_like=True):
    result: msgspec.Raw
    fault: _Fault | None = None


_asked = msgspec.msgpack.Decoder(_Asked)
_told = msgspec.msgpack.Decoder(_Told)
_NOTHING = msgspec.Raw(_pack(None))


def ask(target: str, name: str, given: Mapping[str, object]) -> bytes:
    """The bytes of one call."""
    return _pack(_Asked(VERSION, target, name, {key: msgspec.Raw(_pack(value)) for key, value in given.items()}))


def perform(targets: Mapping[str, object], raw: bytes) -> bytes:
    """Do what these bytes ask of one of the targets; the bytes of its answer, errors of ours included."""
    try:
        return _pack(_Told(msgspec.Raw(_pack(_perform(targets, raw)))))
    except (msgspec.MsgspecError, KeyError) as error:
        return _pack(_Told(_NOTHING, _Fault("ConfigurationError", f"expected a known call, found another: {error}")))
    except DemurError as error:
        return _pack(_Told(_NOTHING, _fault(error)))


def _perform(targets: Mapping[str, object], raw: bytes) -> object:
    asked = _asked.decode(raw)
    call = CALLS[asked.target][asked.name]
    if asked.version != VERSION:
        raise ConfigurationError(f"expected calls of version {VERSION}, found {asked.version}")
    given = {name: call.takes[name].decode(value) for name, value in asked.given.items()}
    # `listed` is the one that nobody is named for.
    by = {"by": LOCAL} if asked.target != "gate" and asked.name != "listed" else {}
    done: object = getattr(targets[asked.target], asked.name)(**given, **by)
    return done


def _fault(error: DemurError) -> _Fault:
    place = (error.pointer, error.expected, error.found) if isinstance(error, IntakeError) else None
    kind = type(error).__name__
    if place is None and kind not in _KINDS:
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _KINDS)
    return _Fault(kind, str(error), error.hint, place)


_KINDS: dict[str, type[DemurError]] = {
    kind.__name__: kind
    for kind in (
        errors.DemurError,
        errors.StoreError,
        errors.OverloadedError,
        errors.LedgerError,
        errors.RollbackError,
        errors.ForgottenError,
        errors.AccessError,
        errors.RulingError,
        errors.ConfigurationError,
    )
}


def answer(target: str, name: str, raw: bytes) -> object:
    """What a call gave; raises what the other side raised, and `StoreError` where these bytes are no answer."""
    try:
        told = _told.decode(raw)
        if told.fault is None:
            return CALLS[target][name].gives.decode(told.result)
    except msgspec.MsgspecError as error:
        raise StoreError("the service that owns the home gave no answer that can be read") from error
    fault = told.fault
    if fault.place is not None:
        pointer, expected, found = fault.place
        raise IntakeError(pointer, expected=expected, found=found, hint=fault.hint)
    raise _KINDS.get(fault.kind, StoreError)(fault.message, hint=fault.hint)


def send(line: socket.socket, data: bytes) -> None:
    """One frame; raises `OSError`."""
    line.sendall(_LENGTH.pack(len(data)) + data)


def receive(line: socket.socket) -> bytes:
    """One frame; raises `OSError`, also where it is too long or the other side ended before its end."""
    (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    if length > MAX_BYTES:
        raise OSError(f"expected at most {MAX_BYTES} bytes, found {length}")
    return _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < count:
        piece = line.recv(min(count - len(pieces), 1 << 16))
        if not piece:
            raise OSError("expected the rest of a frame, found its end")
        pieces += piece
    return bytes(pieces)


def is_offered() -> bool:
    """Whether the kernel here says who is on the other side of a socket; else there is no such way in."""
    return hasattr(socket, "SO_PEERCRED")


def is_own(line: socket.socket) -> bool:
    """Whether the process on the other side runs as the same user as this one."""
    raw = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(raw)[1]
    return user == os.geteuid()


@contextmanager
def address(home: Path) -> Iterator[str]:
    """The address of the socket in this home, however long its path is, for as long as it is needed.

    Raises `ConfigurationError` where others than the owner could put something of their own in its place, and
    `OSError`.
    """
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(
                f"expected `{home}` to belong to whoever asks, and to be writable by nobody else, found otherwise",
                hint=f"run as the owner of the home, after `chmod 700 {home}`",
            )
        path = str(home.absolute() / NAME)
        yield path if len(os.fsencode(path)) <= _MAX_PATH else f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
