"""Documents <-> bytes, so that a set that was checked once need not be checked again.

    {"version": 1, "head": <schema, namespaces, digest, locale>, "rules": [<rule>, ...]}     (MessagePack)

- The version names this layout; bytes of another one are refused, and the caller loads the documents again.
- Rules are decoded one at a time, so that other threads run in between: no single step is long (S11).
- These bytes are not a policy's source. They carry checked nodes that no digest covers, so they are read only from
  where nobody else can write.
- An instant beyond 64 bits of nanoseconds is written as text, since MessagePack has no larger integers.

Clauses: S3.7, S7.1.
"""

from __future__ import annotations

import msgspec

from demur.core.cel.ir import Const
from demur.core.desk.plan import Desk
from demur.core.policy.document import (
    FORMAT,
    Alternative,
    AnyOf,
    Clause,
    Condition,
    Documents,
    Namespace,
    Narrowing,
    Obligation,
    Panel,
    Rule,
)
from demur.core.schema import Action as SchemaAction
from demur.core.schema import (
    Await,
    Change,
    Counter,
    Detect,
    Kind,
    Obtain,
    Schema,
    Slot,
    Source,
    Type,
    Visibility,
)
from demur.core.schema import Fact as SchemaFact
from demur.core.terms import Audience, Category, Disposition, Duration, Effect, Timestamp, Value

VERSION = 100 * FORMAT + 5
"""The document format, and the layout within it. Raise the last digits with every change of a stored type."""

_TIME_KINDS = {Kind.TIMESTAMP, Kind.DURATION}


class CompiledError(ValueError):
    """The bytes are of another version, or no compiled set at all."""


class _Envelope(msgspec.Struct, frozen=True):
    version: int
    head: msgspec.Raw
    rules: list[msgspec.Raw]


class _Fact(msgspec.Struct, frozen=True, array_like=True):
    path: str
    type: Type
    source: str
    description: str
    unit: str
    change: Change | None
    obtain: Obtain | None
    awaits: Await | None
    flags: tuple[bool, bool, bool, bool, bool, bool]
    visible: dict[Audience, Visibility]
    one_of: list[object]
    detect: Detect | None


class _Action(msgspec.Struct, frozen=True, array_like=True):
    name: str
    description: str
    arguments: tuple[_Fact, ...]
    resource_types: tuple[str, ...]
    namespace: str
    same_as: str


class _Source(msgspec.Struct, frozen=True, array_like=True):
    name: str
    kind: str
    settings: object
    timeout_ms: int
    ttl_ms: int


class _Head(msgspec.Struct, frozen=True, array_like=True):
    facts: tuple[_Fact, ...]
    actions: tuple[_Action, ...]
    sources: tuple[_Source, ...]
    counters: dict[str, Counter]
    slots: tuple[Slot, ...]
    zone: str
    repeats: int
    namespaces: dict[str, Namespace]
    digest: str
    locale: str
    desk: Desk


class _Rule(msgspec.Struct, frozen=True, array_like=True):
    id: str
    namespace: str
    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    when: tuple[Clause, ...]
    unless: tuple[Clause, ...]
    category: Category | None
    disposition: Disposition | None
    description: str
    messages: dict[Audience, dict[str, str]]
    obligations: tuple[tuple[str, str, object], ...]
    narrows: tuple[tuple[str, int | float | None, int | float | None, object], ...]
    grant_seconds: int | None
    alternatives: tuple[tuple[str, object, str], ...]
    panel: Panel | None
    stands_for: str
    owner: str
    tags: tuple[str, ...]
    controls: dict[str, tuple[str, ...]]
    digest: str
    file: str
    line: int
    has_far_times: bool


_encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_rule = msgspec.msgpack.Decoder(_Rule).decode
_decode_version = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def encode_compiled(documents: Documents) -> bytes:
    """The bytes of a checked set."""
    rules = [msgspec.Raw(_encode_rule(rule)) for rule in documents.rules]
    return _encode(_Envelope(VERSION, msgspec.Raw(_encode(_head(documents))), rules))


def decode_compiled(raw: bytes) -> Documents:
    """The checked set; raises `CompiledError` where the bytes are of another version or no compiled set."""
    try:
        envelope = _decode_envelope(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise CompiledError(f"expected a compiled set of policies, found other bytes: {error}") from error
    if envelope.version != VERSION:
        message = f"expected version {VERSION} of compiled policies, found {envelope.version}"
        raise CompiledError(message)
    try:
        head = _decode_head(envelope.head)
        return _documents(head, tuple([_from_rule(_decode_rule(rule)) for rule in envelope.rules]))
    except (msgspec.DecodeError, ValueError) as error:
        message = f"expected a compiled set of policies, found a damaged one: {error}"
        raise CompiledError(message) from error


def _encode_rule(rule: Rule) -> bytes:
    try:
        return _encode(_to_rule(rule, has_far_times=False))
    except OverflowError:
        when, unless = _far(rule.when, to_text=True), _far(rule.unless, to_text=True)
        return _encode(_to_rule(msgspec.structs.replace(rule, when=when, unless=unless), has_far_times=True))


def _to_rule(rule: Rule, *, has_far_times: bool) -> _Rule:
    return _Rule(
        rule.id,
        rule.namespace,
        rule.effect,
        rule.actions,
        rule.resources,
        rule.when,
        rule.unless,
        rule.category,
        rule.disposition,
        rule.description,
        rule.messages,
        tuple((item.id, item.type, _pack(item.properties)) for item in rule.obligations),
        tuple((item.argument, item.at_most, item.at_least, _pack(item.set)) for item in rule.narrows),
        rule.grant_seconds,
        tuple((item.action, _pack(item.arguments), item.explanation) for item in rule.alternatives),
        rule.panel,
        rule.stands_for,
        rule.owner,
        rule.tags,
        rule.controls,
        rule.digest,
        rule.file,
        rule.line,
        has_far_times,
    )


def _from_rule(stored: _Rule) -> Rule:
    return Rule(
        id=stored.id,
        namespace=stored.namespace,
        effect=stored.effect,
        actions=stored.actions,
        resources=stored.resources,
        when=_far(stored.when, to_text=False) if stored.has_far_times else stored.when,
        unless=_far(stored.unless, to_text=False) if stored.has_far_times else stored.unless,
        category=stored.category,
        disposition=stored.disposition,
        description=stored.description,
        messages=stored.messages,
        obligations=tuple(Obligation(id=a, type=b, properties=_table(c)) for a, b, c in stored.obligations),
        narrows=tuple(Narrowing(argument=a, at_most=b, at_least=c, set=_unpack(d)) for a, b, c, d in stored.narrows),
        grant_seconds=stored.grant_seconds,
        alternatives=tuple(
            Alternative(action=a, arguments=_table(b), explanation=c) for a, b, c in stored.alternatives
        ),
        panel=stored.panel,
        stands_for=stored.stands_for,
        owner=stored.owner,
        tags=stored.tags,
        controls=stored.controls,
        digest=stored.digest,
        file=stored.file,
        line=stored.line,
    )


def _head(documents: Documents) -> _Head:
    schema = documents.schema
    return _Head(
        tuple(map(_to_fact, schema.facts.values())),
        tuple(
            _Action(a.name, a.description, tuple(map(_to_fact, a.arguments)), a.resource_types, a.namespace, a.same_as)
            for a in schema.actions.values()
        ),
        tuple(_Source(s.name, s.kind, _pack(s.settings), s.timeout_ms, s.ttl_ms) for s in schema.sources.values()),
        schema.counters,
        schema.slots,
        schema.zone,
        schema.repeats,
        documents.namespaces,
        documents.digest,
        documents.locale,
        msgspec.structs.replace(documents.desk, risk=_far_node(documents.desk.risk, to_text=True)),
    )


def _documents(head: _Head, rules: tuple[Rule, ...]) -> Documents:
    facts = [_from_fact(fact) for fact in head.facts]
    actions = [
        SchemaAction(
            name=a.name,
            description=a.description,
            arguments=tuple(map(_from_fact, a.arguments)),
            resource_types=a.resource_types,
            namespace=a.namespace,
            same_as=a.same_as,
        )
        for a in head.actions
    ]
    sources = [
        Source(name=s.name, kind=s.kind, settings=_table(s.settings), timeout_ms=s.timeout_ms, ttl_ms=s.ttl_ms)
        for s in head.sources
    ]
    schema = Schema(
        facts={fact.path: fact for fact in facts},
        actions={action.name: action for action in actions},
        sources={source.name: source for source in sources},
        counters=head.counters,
        slots=head.slots,
        zone=head.zone,
        repeats=head.repeats,
    )
    return Documents(
        schema=schema,
        rules=rules,
        namespaces=head.namespaces,
        digest=head.digest,
        locale=head.locale,
        desk=msgspec.structs.replace(head.desk, risk=_far_node(head.desk.risk, to_text=False)),
    )


def _to_fact(fact: SchemaFact) -> _Fact:
    return _Fact(
        fact.path,
        fact.type,
        fact.source,
        fact.description,
        fact.unit,
        fact.change,
        fact.obtain,
        fact.awaits,
        (fact.optional, fact.personal, fact.confidential, fact.secret, fact.bound, fact.recheck_at_redeem),
        fact.visible,
        [_pack(value) for value in fact.one_of],
        fact.detect,
    )


def _from_fact(stored: _Fact) -> SchemaFact:
    optional, personal, confidential, secret, bound, recheck = stored.flags
    return SchemaFact(
        path=stored.path,
        type=stored.type,
        source=stored.source,
        description=stored.description,
        unit=stored.unit,
        optional=optional,
        change=stored.change,
        obtain=stored.obtain,
        awaits=stored.awaits,
        personal=personal,
        confidential=confidential,
        secret=secret,
        bound=bound,
        visible=stored.visible,
        recheck_at_redeem=recheck,
        one_of=tuple(_unpack(value) for value in stored.one_of),
        detect=stored.detect,
    )


def _pack(value: object) -> object:
    """A value as MessagePack can say it and tell apart again: times and tables become tagged lists."""
    match value:
        case Timestamp():
            return ["timestamp", str(value.nanos)]
        case Duration():
            return ["duration", str(value.nanos)]
        case dict():
            return ["table", [[_pack(key), _pack(item)] for key, item in value.items()]]
        case list() | tuple():
            return ["list", [_pack(item) for item in value]]
        case _:
            return value


def _unpack(value: object) -> Value:
    match value:
        case ["timestamp", str(nanos)]:
            return Timestamp(int(nanos))
        case ["duration", str(nanos)]:
            return Duration(int(nanos))
        case ["table", list(pairs)]:
            return {_unpack(key): _unpack(item) for key, item in pairs}
        case ["list", list(items)]:
            return [_unpack(item) for item in items]
        case None | bool() | int() | float() | str():
            return value
        case _:
            message = "expected a value, found something else"
            raise ValueError(message)


def _table(value: object) -> dict[str, Value]:
    found = _unpack(value)
    if not isinstance(found, dict):
        message = "expected a table of values, found something else"
        raise ValueError(message)  # noqa: TRY004  (the bytes are damaged; callers learn one error)
    return found


def _far(clauses: tuple[Clause, ...], *, to_text: bool) -> tuple[Clause, ...]:
    """The clauses with the constants that are times written as text, or read back from it."""
    found: list[Clause] = []
    for clause in clauses:
        if isinstance(clause, AnyOf):
            members = tuple(_far_condition(member, to_text=to_text) for member in clause.conditions)
            found.append(msgspec.structs.replace(clause, conditions=members))
        else:
            found.append(_far_condition(clause, to_text=to_text))
    return tuple(found)


def _far_condition(condition: Condition, *, to_text: bool) -> Condition:
    node = _far_node(condition.node, to_text=to_text)
    return msgspec.structs.replace(condition, node=node)


def _far_node(value: object, *, to_text: bool) -> object:
    """A copy of a node. The depth is capped by the language (64), so recursion is safe."""
    if isinstance(value, Const):
        if value.type.kind not in _TIME_KINDS or value.value is None:
            return value
        return msgspec.structs.replace(value, value=str(value.value) if to_text else int(value.value))
    if isinstance(value, tuple):
        return tuple(_far_node(item, to_text=to_text) for item in value)
    if isinstance(value, msgspec.Struct) and not isinstance(value, Type):
        fields = {name: _far_node(getattr(value, name), to_text=to_text) for name in value.__struct_fields__}
        return type(value)(**fields)
    return value
