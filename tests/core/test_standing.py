"""Standing approvals as values: what they cover, against a second implementation over the scope in clear."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import standing
from demur.core.panel import Reviewer
from demur.core.policy.document import Panel, Rule
from demur.core.scope import ANY, Bound, Scope, read_scope
from demur.core.standing import Book, Signer, Standing, StandingState
from demur.core.terms import Effect, Entity, Request, parse_timestamp
from demur.errors import RulingError

NOW = parse_timestamp("2026-11-20T09:00:00Z")
PANEL = Panel(role="manager", quorum=2)
RULE = Rule(id="shop/large", namespace="shop", effect=Effect.REVIEW, actions=("pay",), panel=PANEL, digest="sha256:1")


@dataclass
class Marks:
    """Blinds by a plain digest."""

    def subject(self, name: str) -> str:
        return self.text("whole subject", name)

    def text(self, kind: str, text: str) -> str:
        return hashlib.sha256(f"{kind}\0{text}".encode()).hexdigest()


def scope(**changes: Any) -> Scope:
    plain = Scope(
        rule="shop/large", action="pay", resource_type="account", subject="user:bob", uses=3, expires_at=NOW.plus(60)
    )
    return msgspec.structs.replace(plain, **changes)


def closed(wanted: Scope) -> Standing:
    return standing.close(wanted, RULE, PANEL, Marks(), standing_id="one", now=NOW)


def signed(one: Standing, *names: str) -> Standing:
    for number, name in enumerate(names):
        signer = Signer(f"p-{name}", Marks().text("own", name), NOW, number)
        one = standing.sign(one, signer, Reviewer(name, frozenset({"manager"})), barred=(), now=NOW)
    return one


def request(arguments: dict[str, Any] | None = None, **changes: Any) -> Request:
    plain = Request(
        subject=Entity(type="user", id="bob"),
        actor=Entity(type="agent", id="bot"),
        action="pay",
        arguments=arguments or {},
        resource=Entity(type="account", id="a-1"),
        context={},
        session="",
        trace_id="",
        request_id="",
        caller="program:bot",
        model=None,
        digest="sha256:0",
    )
    return msgspec.structs.replace(plain, **changes)


# What is covered, by a second implementation.

IDS = st.sampled_from(["bob", "bo", "b", "bobby", "ann", "mara", "é", "b*b", "用户"])
ENTITIES = st.builds(Entity, type=st.sampled_from(["user", "agent", "user:b"]), id=IDS)
NAMES = st.builds(
    lambda kind, name, is_open: f"{kind}:{name}*" if is_open else f"{kind}:{name}",
    st.sampled_from(["user", "agent"]),
    st.sampled_from(["bob", "bo", "b", "ann", "é"]),
    st.booleans(),
)
NUMBERS = st.one_of(st.integers(-3, 3), st.floats(-3, 3, width=16))
SINGLE = st.one_of(NUMBERS, st.booleans(), st.sampled_from(["x", "1", "é"]), st.lists(st.integers(0, 2), max_size=2))
BOUNDS = st.one_of(
    st.builds(Bound, at_least=st.none() | st.integers(-9, -3), at_most=NUMBERS, may_be_absent=st.booleans()),
    st.builds(Bound, one_of=st.lists(SINGLE, min_size=1, max_size=3).map(tuple), may_be_absent=st.booleans()),
    st.builds(Bound, is_free=st.just(True), may_be_absent=st.booleans()),
)
SCOPES = st.builds(
    scope,
    subject=NAMES,
    actor=st.just(ANY) | NAMES,
    resource=st.just(ANY) | st.sampled_from(["account:b", "account:b*", "account:*"]),
    arguments=st.dictionaries(st.sampled_from(["action.a", "action.b", "action.arguments.name"]), BOUNDS, max_size=3),
)
REQUESTS = st.builds(
    request,
    st.dictionaries(st.sampled_from(["a", "b", "name"]), SINGLE, max_size=3),
    subject=ENTITIES,
    actor=ENTITIES,
    resource=st.builds(Entity, type=st.sampled_from(["account", "order"]), id=IDS),
    action=st.sampled_from(["pay", "pay", "send"]),
    caller=st.sampled_from(["program:x", "person:mara", "mara"]),
)
PATHS = {"action.a": "a", "action.b": "b", "action.arguments.name": "name"}


@st.composite
def near(draw: st.DrawFn) -> tuple[Scope, Request]:
    """A scope, and a request that it covers but for one or two things at most."""
    wanted = draw(SCOPES)
    more = st.sampled_from(["", "by", "-é"])

    def named(pattern: str) -> Entity:
        kind, _, rest = ("account:x" if pattern == ANY else pattern).partition(":")
        return Entity(type=kind, id=rest[:-1] + draw(more) if rest.endswith(ANY) else rest)

    def value(bound: Bound) -> Any:
        if bound.one_of:
            return draw(st.sampled_from(bound.one_of))
        return bound.at_most if bound.at_most is not None else draw(SINGLE)

    fitting = {PATHS[path]: value(bound) for path, bound in wanted.arguments.items()}
    asked = request(
        fitting,
        subject=named(wanted.subject),
        actor=named(wanted.actor),
        resource=named(wanted.resource),
    )
    assert standing.covers(closed(wanted), asked, Marks())
    other = draw(REQUESTS)
    for name in draw(st.sets(st.sampled_from(["subject", "actor", "resource", "caller", "action"]), max_size=1)):
        asked = msgspec.structs.replace(asked, **{name: getattr(other, name)})
    if draw(st.booleans()):
        name = draw(st.sampled_from(["a", "b", "name"]))
        changed = {**asked.arguments, name: draw(SINGLE)} if draw(st.booleans()) else dict(asked.arguments)
        if name in changed and draw(st.booleans()):
            del changed[name]
        asked = msgspec.structs.replace(asked, arguments=changed)
    return wanted, asked


def fits_name(pattern: str, entity: Entity) -> bool:
    if pattern == ANY:
        return ":" not in entity.type
    kind, _, rest = pattern.partition(":")
    return entity.type == kind and (entity.id.startswith(rest[:-1]) if rest.endswith("*") else entity.id == rest)


def fits_bound(bound: Bound, value: Any) -> bool:
    if bound.is_free:
        return True
    if bound.one_of:
        return any(
            value == one and isinstance(value, bool) == isinstance(one, bool) and str(value)[:1] != ""
            for one in bound.one_of
            if isinstance(value, str) == isinstance(one, str)
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    lowest = float("-inf") if bound.at_least is None else bound.at_least
    highest = float("inf") if bound.at_most is None else bound.at_most
    return lowest <= value <= highest


def naive(wanted: Scope, asked: Request, granters: tuple[str, ...]) -> bool:
    people = {asked.subject.id, asked.actor.id, asked.caller, asked.caller.removeprefix("person:")}
    if people & set(granters) or asked.action != wanted.action or asked.resource.type != wanted.resource_type:
        return False
    pairs = ((wanted.subject, asked.subject), (wanted.actor, asked.actor), (wanted.resource, asked.resource))
    if not all(fits_name(pattern, entity) for pattern, entity in pairs):
        return False
    given = {path: asked.arguments[name] for path, name in PATHS.items() if name in asked.arguments}
    if set(given) - set(wanted.arguments):
        return False
    return all(
        fits_bound(bound, given[path]) if path in given else bound.may_be_absent
        for path, bound in wanted.arguments.items()
    )


@given(near() | st.tuples(SCOPES, REQUESTS))
def test_what_is_covered_is_what_the_scope_says(drawn: tuple[Scope, Request]) -> None:
    wanted, asked = drawn
    one = signed(closed(wanted), "mara", "ann")
    assert standing.covers(one, asked, Marks()) == naive(wanted, asked, ("mara", "ann"))


@given(SCOPES)
def test_a_scope_is_read_back_as_it_was_written(wanted: Scope) -> None:
    written = msgspec.json.decode(msgspec.json.encode(wanted.to_dict()))
    again = read_scope(written)
    assert again.to_dict() == wanted.to_dict()


@given(SCOPES)
def test_what_is_kept_names_nobody(wanted: Scope) -> None:
    kept = msgspec.json.encode(closed(wanted)).decode()
    assert [name for name in ("bob", "ann", "é", '"x"') if name in kept] == []


@pytest.mark.parametrize("who", ["subject", "actor"])
def test_what_somebody_granted_never_covers_them(who: str) -> None:
    one = closed(scope(subject="user:*"))
    changed: dict[str, Any] = {who: Entity(type="user", id="mara")}
    own = request(**changed)
    assert standing.covers(signed(one, "ann", "bea"), own, Marks())
    assert not standing.covers(signed(one, "ann", "mara"), own, Marks())


@pytest.mark.parametrize("caller", ["mara", "person:mara"])
def test_nor_whoever_they_are_as_a_caller(caller: str) -> None:
    assert not standing.covers(signed(closed(scope()), "ann", "mara"), request(caller=caller), Marks())


@pytest.mark.parametrize(("name", "kind", "id_"), [("user:b*", "user:b", "x"), ("user:b:x", "user:b", "x")])
def test_a_type_with_a_colon_passes_for_no_other(name: str, kind: str, id_: str) -> None:
    one = signed(closed(scope(subject=name)), "ann", "bea")
    assert not standing.covers(one, request(subject=Entity(type=kind, id=id_)), Marks())


def test_an_argument_that_no_bound_mentions_is_not_covered() -> None:
    assert not standing.covers(signed(closed(scope()), "ann", "bea"), request({"a": 1}), Marks())


# Who grants, and for how long.


def test_it_lives_once_the_quorum_is_complete() -> None:
    one = closed(scope())
    assert [signed(one, *names).state for names in (("a",), ("a", "b"))] == [StandingState.WAITING, StandingState.LIVE]
    with pytest.raises(RulingError, match="has granted this already"):
        signed(one, "a", "a")
    with pytest.raises(RulingError, match="waits for people, found one that is live"):
        signed(one, "a", "b", "c")


@pytest.mark.parametrize(
    ("seconds", "used", "digest", "expected"),
    [
        (0, 0, "sha256:1", StandingState.LIVE),
        (59, 2, "sha256:1", StandingState.LIVE),
        (59, 3, "sha256:1", StandingState.USED_UP),
        (0, 0, "sha256:2", StandingState.VOID),
        (0, 0, None, StandingState.VOID),
        (60, 0, "sha256:1", StandingState.EXPIRED),
        (60, 9, None, StandingState.EXPIRED),
    ],
)
def test_where_it_stands(seconds: float, used: int, digest: str | None, expected: StandingState) -> None:
    one = signed(closed(scope()), "a", "b")
    assert one.state_at(NOW.plus(seconds), used=used, digest=digest) is expected


def test_past_its_end_nobody_grants_it() -> None:
    signer = Signer("p", "own", NOW, 1)
    with pytest.raises(RulingError, match="found one that is expired"):
        standing.sign(closed(scope()), signer, Reviewer("a", frozenset({"manager"})), barred=(), now=NOW.plus(60))


def test_what_ended_is_remembered_for_a_while_and_then_left_to_the_ledger() -> None:
    book = Book()
    for number in range(standing.MAX_ENDED + 5):
        one = msgspec.structs.replace(closed(scope()), id=f"s{number}")
        book = book.with_(one).without(msgspec.structs.replace(one, state=StandingState.REVOKED))
    assert (len(book.items), len(book.ended), book.ended[0].id) == (0, standing.MAX_ENDED, "s5")
    with pytest.raises(RulingError, match="found one that is revoked"):
        book.find("s9")
    with pytest.raises(RulingError, match="there is no standing approval `s1`"):
        book.find("s1")
