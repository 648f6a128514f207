"""Requests, schemas and sources for the tests of fact sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.schema import Action, Fact, Kind, Schema, Source, Type
from demur.core.terms import Entity, Request, Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = Timestamp(1_795_165_200 * 10**9)
BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
STRING = Type(Kind.STRING)


def request(*, subject: str = "ann", resource: str = "i-1", **arguments: Value) -> Request:
    return Request(
        subject=Entity(type="user", id=subject, properties={"plan": "gold", "level": 3}),
        actor=Entity(type="agent", id="bot"),
        action="refund",
        arguments=arguments,
        resource=Entity(type="invoice", id=resource),
        context={},
        session="",
        trace_id="",
        request_id="",
        caller="local",
        model=None,
        digest="sha256:00",
    )


def schema(source: Source, facts: Mapping[str, Type], *, optional: frozenset[str] = frozenset()) -> Schema:
    declared = {
        path: Fact(path=path, type=type_, source=source.name, optional=path in optional)
        for path, type_ in facts.items()
    }
    return Schema(facts=declared, sources={source.name: source}, actions={"refund": Action(name="refund")})
