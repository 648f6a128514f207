"""Bytes -> Request, or an `IntakeError` that says where, what was expected and what was found.

- Refused (S1.2): duplicate member names, lone surrogates, non-finite numbers, integers beyond +-(2^53-1), nesting
  over 32, more than 256 KiB, a missing subject, action or resource, and undeclared, missing or ill-typed arguments
  of a declared action.
- Unknown top-level members are ignored, as AuthZEN demands, and are no part of the action.
- Numbers take their declared type first; then the action digest is taken (S1.3).
- The actor is bound to the caller's credential where that binds one; a body cannot speak for another (S1.1).
- The only error that leaves this module is `IntakeError`.

Clauses: S1.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from demur.core import canonical
from demur.core.conform import ConformError, conform, describe
from demur.core.schema import REQUEST, Fact, Kind, Schema, Type, argument_name
from demur.core.terms import MAX_INT, Entity, Model, Request, Value
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_ID = 1_024
"""Longest type, id, session or request id, in characters."""

_ARGUMENTS = "/action/properties"
_DYN = Type(Kind.DYN)
_STRING = Type(Kind.STRING)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Caller(msgspec.Struct, frozen=True):
    """Who asked, as authenticated. `actor` is the agent that the credential stands for, if it is bound to one."""

    id: str = "local"
    actor: Entity | None = None
    understands: frozenset[str] | None = None
    """The obligation types that the credential is registered to carry out; `None` where the executor says so (S6.4)."""
    claims: dict[str, object] | None = None
    """The claims of the token that the caller came with, verified; `None` where it came without one."""


class _UnsoundError(Exception):
    """A document has a defect; where, the slower reading tells."""


class _Defect:
    """Stands in a parsed document for what JSON can say but a request may not."""

    def __init__(self, expected: str, found: str, *, below: str = "") -> None:
        self.expected = expected
        self.found = found
        self.below = below


def read(raw: bytes | str | Mapping[str, object], schema: Schema, *, caller: Caller, complete: bool = True) -> Request:
    """The request, typed by the schema, immutable and digested; raises `IntakeError`.

    `raw` is AuthZEN's evaluation request as JSON text, or the same already parsed. Beside AuthZEN's members it may
    carry `actor`, `session`, `trace_id` (also as a W3C traceparent), `request_id` and `model`. A request read back
    from the vault is not `complete`: its secret arguments were never kept.
    """
    body = parse(raw)
    subject = _entity(body, "subject")
    resource = _entity(body, "resource")
    action, arguments = _action(body)
    context = _members(body.get("context", {}), "/context")
    declared = schema.actions.get(action)
    if declared is not None:
        facts = {argument_name(fact.path): fact for fact in declared.arguments}
        _check_arguments(arguments, facts, action, complete=complete)
        arguments = retype(action, arguments, schema)
        _check_resource_type(resource.type, declared.resource_types)
    else:
        arguments = retype(action, arguments, schema)
    actor = _actor(body, caller)
    claims = {"subject": subject.properties, "actor": actor.properties, "resource": resource.properties}
    typed = _typed_claims({**claims, "context": context}, schema)
    request = Request(
        subject=Entity(type=subject.type, id=subject.id, properties=typed["subject"]),
        actor=Entity(type=actor.type, id=actor.id, properties=typed["actor"]),
        action=action,
        arguments=arguments,
        resource=Entity(type=resource.type, id=resource.id, properties=typed["resource"]),
        context=typed["context"],
        session=_optional_text(body, "session"),
        trace_id=_trace_id(_optional_text(body, "trace_id")),
        request_id=_optional_text(body, "request_id"),
        caller=caller.id,
        model=_model(body),
        digest="",
        claims=caller.claims,
    )
    return msgspec.structs.replace(request, digest=digest(request, schema))


def retype(action: str, arguments: Mapping[str, Value], schema: Schema) -> dict[str, Value]:
    """The arguments with their declared types; raises `IntakeError`. Which of them there are is not checked."""
    declared = schema.actions.get(action)
    facts = {argument_name(fact.path): fact for fact in declared.arguments} if declared else {}
    return {
        name: _fact(value, facts[name], f"{_ARGUMENTS}/{_escape(name)}")
        if name in facts
        else _value(value, _DYN, f"{_ARGUMENTS}/{_escape(name)}")
        for name, value in arguments.items()
    }


def digest(request: Request, schema: Schema) -> str:
    """The action digest of S1.3: SHA-256 over RFC 8785 of subject, actor, action, resource and bound context."""
    bound = {name: value for name, value in request.context.items() if _is_bound(name, schema)}
    form = canonical.encode(
        {
            "subject": _plain(request.subject),
            "actor": _plain(request.actor),
            "action": {"name": request.action, "properties": request.arguments},
            "resource": _plain(request.resource),
            "context": bound,
        }
    )
    if len(form) > MAX_BYTES:
        _fail("", f"at most {MAX_BYTES} bytes", f"{len(form)} bytes")
    return "sha256:" + hashlib.sha256(form).hexdigest()


def _plain(entity: Entity) -> dict[str, object]:
    return {"type": entity.type, "id": entity.id, "properties": entity.properties}


def _is_bound(name: str, schema: Schema) -> bool:
    fact = schema.facts.get(f"context.{name}")
    return fact is not None and fact.bound


def parse(raw: bytes | str | Mapping[str, object], *, max_bytes: int = MAX_BYTES) -> dict[str, Value]:
    """The members of a JSON object within the limits of S1.2; raises `IntakeError`. Only requests have `MAX_BYTES`."""
    if isinstance(raw, Mapping):
        return _members(raw, "")
    text = _text(raw, max_bytes)
    _check_depth(text)
    try:
        document = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        _fail("", "JSON", f"{error.msg[0].lower()}{error.msg[1:]} at line {error.lineno}, column {error.colno}")
    except _UnsoundError:
        document = _MARKING.decode(text)
        _check_sound(document, "")
    if "\\u" in text or not text.isascii():
        _check_sound(document, "")
    return _members(document, "")


def _text(raw: bytes | str, max_bytes: int) -> str:
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        _fail("", f"at most {max_bytes} bytes", f"{size} bytes")
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IntakeError("", expected="UTF-8 text", found=f"an invalid byte at offset {error.start}") from error


def _check_depth(text: str) -> None:
    """Refuse deep nesting before a recursive parser sees it."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRUCTURE.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _fail("", f"nesting of at most {MAX_DEPTH}", f"more, at character {token.start()}")
        elif mark in "]}":
            depth -= 1


_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Strings are matched possessively, so a brace within one is never counted and no text makes it slow."""


def _object(pairs: list[tuple[str, object]]) -> object:
    """The members, or a mark where one is named twice."""
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return _Defect("one member of this name", "two", below=name)
        seen.add(name)
    return members


def _constant(name: str) -> _Defect:
    return _Defect("a finite number", f"`{name}`")


def _double(text: str) -> float | _Defect:
    number = float(text)
    return number if math.isfinite(number) else _Defect("a finite number", "one beyond the range of doubles")


def _integer(text: str) -> int | _Defect:
    number = int(text) if len(text) <= _MAX_DIGITS else MAX_INT + 1
    return number if -MAX_INT <= number <= MAX_INT else _Defect("an int within +-(2^53-1)", "an int beyond 2^53-1")


def _strictly(read: Callable[[_Read], object]) -> Callable[[_Read], object]:
    """The same reading, but a defect ends it: a sound document need not be searched for marks."""

    def strict(found: _Read) -> object:
        value = read(found)
        if type(value) is _Defect:
            raise _UnsoundError
        return value

    return strict


_Read = TypeVar("_Read")
_MAX_DIGITS = 17
_MARKING = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_double, parse_int=_integer
)
_STRICT = json.JSONDecoder(
    object_pairs_hook=_strictly(_object),
    parse_constant=_strictly(_constant),
    parse_float=_strictly(_double),
    parse_int=_strictly(_integer),
)


def _check_sound(value: object, pointer: str) -> None:
    """Refuse what the parser marked, and lone surrogates, wherever they stand, ignored members included."""
    if isinstance(value, str):
        if not value.isascii():
            _value(value, _STRING, pointer)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_sound(name, pointer)
            _check_sound(item, f"{pointer}/{_escape(name)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_sound(item, f"{pointer}/{index}")
    elif isinstance(value, _Defect):
        place = f"{pointer}/{_escape(value.below)}" if value.below else pointer
        _fail(place, value.expected, value.found)


def _members(value: object, pointer: str) -> dict[str, Value]:
    """An object, its members still unchecked below this level."""
    if type(value) is not dict and not isinstance(value, Mapping):
        _fail(pointer, "an object", describe(value))
    for name in value:
        if type(name) is not str and not isinstance(name, str):
            _fail(pointer, "member names that are text", describe(name))
    return dict(value)


def _value(value: object, expected: Type, pointer: str) -> Value:
    try:
        return conform(value, expected)
    except ConformError as error:
        raise IntakeError(pointer + error.pointer, expected=error.expected, found=error.found) from error


def _required(body: Mapping[str, Value], name: str, pointer: str) -> Value:
    if name not in body:
        _fail(f"{pointer}/{name}", f"the member `{name}`", "nothing")
    return body[name]


def _identifier(value: object, pointer: str) -> str:
    # Most identifiers are ASCII, in which nothing can be wrong with a string.
    text = value if type(value) is str and value.isascii() else _value(value, _STRING, pointer)
    if not isinstance(text, str) or not text:
        _fail(pointer, "text that is not empty", "empty text")
    if len(text) > MAX_ID:
        _fail(pointer, f"at most {MAX_ID} characters", f"{len(text)}")
    return text


def _entity(body: Mapping[str, Value], name: str) -> Entity:
    members = _members(_required(body, name, ""), f"/{name}")
    return Entity(
        type=_identifier(_required(members, "type", f"/{name}"), f"/{name}/type"),
        id=_identifier(_required(members, "id", f"/{name}"), f"/{name}/id"),
        properties=_members(members.get("properties", {}), f"/{name}/properties"),
    )


def _actor(body: Mapping[str, Value], caller: Caller) -> Entity:
    claimed = _entity(body, "actor") if "actor" in body else None
    if caller.actor is None:
        return claimed or Entity(type="agent", id=caller.id)
    if claimed is not None and (claimed.type, claimed.id) != (caller.actor.type, caller.actor.id):
        _fail("/actor", f"the actor of the credential, `{caller.actor.id}`", f"`{claimed.id[:64]}`")
    return caller.actor


def _action(body: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
    members = _members(_required(body, "action", ""), "/action")
    name = _identifier(_required(members, "name", "/action"), "/action/name")
    return name, _members(members.get("properties", {}), _ARGUMENTS)


def _check_arguments(given: Mapping[str, Value], declared: Mapping[str, Fact], action: str, *, complete: bool) -> None:
    for name in given:
        if name not in declared:
            _fail(
                f"{_ARGUMENTS}/{_escape(name)}",
                f"a declared argument of `{action}`",
                f"`{name[:64]}`",
                hint=_nearest(name, declared) or f"declared are: {', '.join(sorted(declared)) or 'none'}",
            )
    for name, fact in declared.items():
        if name not in given and not fact.optional and (complete or not fact.secret):
            _fail(f"{_ARGUMENTS}/{_escape(name)}", f"the argument `{name}` of `{action}`", "nothing")


def _fact(value: object, fact: Fact, pointer: str) -> Value:
    typed = _value(value, fact.type, pointer)
    if fact.one_of and typed not in fact.one_of:
        found = "another value" if fact.secret or fact.confidential else f"`{str(typed)[:64]}`"
        _fail(pointer, "one of " + ", ".join(f"`{item}`" for item in fact.one_of), found)
    return typed


def _check_resource_type(found: str, declared: Sequence[str]) -> None:
    if declared and found not in declared:
        _fail("/resource/type", "one of " + ", ".join(f"`{name}`" for name in declared), f"`{found[:64]}`")


def _typed_claims(claims: dict[str, dict[str, Value]], schema: Schema) -> dict[str, dict[str, Value]]:
    """Claimed properties with their declared types; what is not declared is kept as plain JSON."""
    typed: dict[str, dict[str, Value]] = {}
    for root, members in claims.items():
        result: dict[str, Value] = {}
        pointer = "/context" if root == "context" else f"/{root}/properties"
        for name, value in members.items():
            fact = schema.facts.get(f"{root}.{name}")
            place = f"{pointer}/{_escape(name)}"
            is_claim = fact is not None and fact.source == REQUEST
            result[name] = _fact(value, fact, place) if fact is not None and is_claim else _value(value, _DYN, place)
        typed[root] = result
    return typed


def _optional_text(body: Mapping[str, Value], name: str) -> str:
    value = body.get(name)
    return "" if value is None else _identifier(value, f"/{name}")


def _trace_id(text: str) -> str:
    match = _TRACEPARENT.fullmatch(text)
    return match[1] if match else text


def _model(body: Mapping[str, Value]) -> Model | None:
    if body.get("model") is None:
        return None
    members = _members(body["model"], "/model")
    version = members.get("version")
    return Model(
        name=_identifier(_required(members, "name", "/model"), "/model/name"),
        version="" if version is None else _identifier(version, "/model/version"),
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def _escape(name: str) -> str:
    """One reference token of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _fail(pointer: str, expected: str, found: str, *, hint: str = "") -> NoReturn:
    raise IntakeError(pointer, expected=expected, found=found, hint=hint)
