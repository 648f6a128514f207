"""The data model of a policy: rules, their conditions and their words, as checked at load.

- A rule covers actions and resource types by name or pattern (`*` stands for any run of characters within a name).
- All `when` clauses must hold and no `unless` clause may; a clause is a condition or an any-of group (S3).
- Rule ids are unique across the set and prefixed by their namespace: `clinic/refund-limit`.

Clauses: S3, S5, S10.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import msgspec

from demur.core.cel.ir import Node
from demur.core.desk.plan import NO_DESK, Desk
from demur.core.schema import Schema
from demur.core.terms import Audience, Category, Disposition, Effect, Value

FORMAT = 1
"""The version of the document format, the value of the key `demur` at the top of every document."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="condition"):
    """One named condition in CEL; `explanation` completes the sentence "this needs that ..."."""

    name: str
    expr: str
    explanation: str
    node: Node


class AnyOf(msgspec.Struct, frozen=True, kw_only=True, tag="any"):
    """Holds when one of `conditions` holds."""

    name: str
    conditions: tuple[Condition, ...]
    explanation: str = ""


Clause: TypeAlias = Union[Condition, AnyOf]


class Obligation(msgspec.Struct, frozen=True, kw_only=True):
    """What must be carried out (AuthZEN Obligations profile). `on` lists the outcomes it is attached to."""

    id: str
    type: str
    properties: dict[str, Value] = {}


class Narrowing(msgspec.Struct, frozen=True, kw_only=True):
    """A grant narrows this argument: to `at_most`, `at_least`, or exactly `set` (S3.5)."""

    argument: str
    at_most: int | float | None = None
    at_least: int | float | None = None
    set: Value = None


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another action that the policy offers instead; `arguments` overrides, others are carried over where declared."""

    action: str
    arguments: dict[str, Value] = {}
    explanation: str = ""


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides instead once a review has waited for `after` seconds."""

    after: int
    role: str
    group: str = ""
    rota: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides a review: `quorum` distinct people with `role`, of `group` where one is named, within `seconds`.

    `language` and `rota` say whom the desk asks first. `levels` are in the order of their time.
    """

    role: str
    quorum: int = 1
    seconds: int = 86_400
    risk: str = "medium"
    group: str = ""
    language: str = ""
    rota: str = ""
    reversible: bool | None = None
    """Whether what is done can be undone; `None` where the rule does not say."""
    levels: tuple[Escalation, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `digest` is over its canonical form; approvals name it (S7.1)."""

    id: str
    namespace: str
    effect: Effect
    actions: tuple[str, ...]
    """The declared actions and patterns that the document names, before expansion."""
    resources: tuple[str, ...] = ("*",)
    when: tuple[Clause, ...] = ()
    unless: tuple[Clause, ...] = ()
    category: Category | None = None
    disposition: Disposition | None = None
    description: str = ""
    messages: dict[Audience, dict[str, str]] = {}
    """Text by audience and then by locale (BCP 47)."""
    obligations: tuple[Obligation, ...] = ()
    narrows: tuple[Narrowing, ...] = ()
    grant_seconds: int | None = None
    alternatives: tuple[Alternative, ...] = ()
    panel: Panel | None = None
    stands_for: str = ""
    """The id of the ordinary rule whose refusal this one, about something confidential, reads like (S10)."""
    owner: str = ""
    tags: tuple[str, ...] = ()
    controls: dict[str, tuple[str, ...]] = {}
    digest: str = ""
    file: str = ""
    line: int = 0


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A team or application: the action patterns it owns (S3.6). `bank/payments` lies within `bank`."""

    name: str
    owns: tuple[str, ...] = ("*",)


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """Everything read and checked, ready to be indexed; `digest` is the policy version (S3.7)."""

    schema: Schema
    rules: tuple[Rule, ...]
    namespaces: dict[str, Namespace]
    digest: str
    locale: str = "en"
    desk: Desk = NO_DESK
