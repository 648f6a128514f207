"""What a standing approval is to cover, as a person reads and chooses it, and what makes it sound.

- It names one rule, one action and one type of resource, and whom it is for: only the end of an id can be left open.
- Every argument that may be given has one bound. It has a number of uses and an end, at most `MAX_DAYS` away.

Clauses: S7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from demur.core import canonical
from demur.core.terms import Timestamp, Value, parse_timestamp, to_json
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.policy.document import Panel, Rule
    from demur.core.schema import Schema

MAX_DAYS = 90
MAX_USES = 100_000
MAX_CHOICES = 64
MAX_TEXT = 256
ANY = "*"
Number: TypeAlias = int | float


class Bound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one argument may be: a number within a range, one of some values, or (`is_free`) anything at all.

    `may_be_absent` lets it be left out too.
    """

    at_least: Number | None = None
    at_most: Number | None = None
    one_of: tuple[Value, ...] = ()
    is_free: bool = False
    may_be_absent: bool = False

    @property
    def kinds(self) -> int:
        """How many of the three it is; a sound bound is one."""
        return (self.at_least is not None or self.at_most is not None) + bool(self.one_of) + self.is_free


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is approved in advance, as a person reads and chooses it.

    `subject`, `actor` and `resource` are `type:id`, where the id may end in `*`; the actor may be "*" for any.
    """

    rule: str
    action: str
    resource_type: str
    subject: str
    uses: int
    expires_at: Timestamp
    actor: str = ANY
    resource: str = ANY
    arguments: dict[str, Bound] = {}

    def to_dict(self) -> dict[str, object]:
        """The scope as JSON, as `read_scope` reads it."""
        bounds = {path: msgspec.to_builtins(bound) for path, bound in self.arguments.items()}
        plain = {name: getattr(self, name) for name in _TEXTS}
        return {**plain, "arguments": bounds, "uses": self.uses, "expires_at": str(self.expires_at)}


_TEXTS = ("rule", "action", "resource_type", "subject", "actor", "resource")


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scope as it is written down; `expires_at` is an RFC 3339 time. Names are `type:id`, open at the end by `*`."""

    rule: str
    action: str
    resource_type: str
    subject: str
    uses: int
    expires_at: str
    actor: str = ANY
    resource: str = ANY
    arguments: dict[str, Bound] = {}


def read_scope(members: Mapping[str, object]) -> Scope:
    """The scope in this JSON; raises `RulingError` where it is none."""
    try:
        return scope_of(msgspec.convert(members, Written))
    except msgspec.ValidationError as error:
        raise RulingError(f"expected what a standing approval is to cover, found otherwise: {error}") from error


def scope_of(written: Written) -> Scope:
    """The scope that was written down; raises `RulingError` where its end is no time."""
    try:
        ends = parse_timestamp(written.expires_at)
    except ValueError as error:
        raise RulingError(f"expected the end of a standing approval as a time, found otherwise: {error}") from error
    plain = {name: getattr(written, name) for name in _TEXTS}
    return Scope(**plain, uses=written.uses, expires_at=ends, arguments=written.arguments)


def id_of(name: str) -> str:
    """The id in `type:id`, as reviewers are called; "" where it is open at the end."""
    return "" if name.endswith(ANY) else name.partition(":")[2]


def check_scope(scope: Scope, schema: Schema, rule: Rule, now: Timestamp) -> Panel:
    """The panel whose members may grant this; raises `RulingError` where the scope is unsound or too wide."""
    panel = rule.panel
    if panel is None or not rule.digest:
        raise RulingError(f"expected a rule that asks for review, found `{scope.rule[:80]}`")
    action = schema.actions.get(scope.action)
    if action is None or ANY in scope.resource_type or not scope.resource_type:
        raise RulingError("expected one declared action on one type of resource, found others")
    if not 0 < scope.uses <= MAX_USES:
        raise RulingError(f"expected 1 to {MAX_USES} uses, found {scope.uses}")
    if not now < scope.expires_at <= now.plus(MAX_DAYS * 86_400):
        raise RulingError(
            f"expected an end within {MAX_DAYS} days, found {scope.expires_at}", hint="grant another when it has ended"
        )
    _check_names(scope)
    known = {fact.path for fact in action.arguments}
    for path, bound in scope.arguments.items():
        if path not in known:
            raise RulingError(f"expected an argument of `{scope.action}`, found `{path[:80]}`")
        _check_bound(path, bound)
    return panel


def _check_names(scope: Scope) -> None:
    for what, name in (("subject", scope.subject), ("actor", scope.actor), ("resource", scope.resource)):
        kind, colon, rest = name.partition(":")
        is_any = name == ANY and what != "subject"
        is_plain = bool(colon and kind and rest) and ANY not in kind + rest[:-1]
        if len(name) > MAX_TEXT or not (is_any or is_plain):
            raise RulingError(
                f"expected the {what} as a type and an id, `user:ann` or `user:*`, found `{name[:80]}`",
                hint="a standing approval names whom it is for; only the end of an id can be left open",
            )


def _check_bound(path: str, bound: Bound) -> None:
    if bound.kinds != 1 or len(bound.one_of) > MAX_CHOICES:
        raise RulingError(f"expected one bound for `{path}`: a range, up to {MAX_CHOICES} values, or free")
    if bound.at_least is not None and bound.at_most is not None and bound.at_least > bound.at_most:
        raise RulingError(f"expected `{path}` from a lower to a higher number, found none in between")
    try:
        canonical.encode(to_json(bound.one_of))
    except ValueError as error:
        raise RulingError(f"expected values for `{path}` that a request can carry, found another: {error}") from error


__all__ = [
    "ANY",
    "MAX_DAYS",
    "MAX_USES",
    "Bound",
    "Number",
    "Scope",
    "Written",
    "check_scope",
    "id_of",
    "read_scope",
    "scope_of",
]
