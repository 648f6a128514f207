"""A small declared world for tests of conditions, and zones without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import Result, Scope, Variable, check, link
from demur.core.schema import Field, Kind, Type
from demur.core.terms import Missing, State, Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

STRING = Type(Kind.STRING)
INT = Type(Kind.INT)
BOOL = Type(Kind.BOOL)
OWNER = Type(Kind.OBJECT, fields=(Field("name", STRING), Field("email", STRING, optional=True)))

DECLARED: dict[str, tuple[Type, bool]] = {
    "action.amount": (INT, False),
    "action.rate": (Type(Kind.DOUBLE), False),
    "action.dry": (BOOL, False),
    "subject.role": (STRING, False),
    "subject.roles": (Type(Kind.LIST, element=STRING), False),
    "resource.note": (STRING, True),
    "resource.consent": (BOOL, True),
    "resource.owner": (OWNER, False),
    "resource.owners": (Type(Kind.LIST, element=OWNER), False),
    "resource.labels": (Type(Kind.MAP, key=STRING, element=STRING), False),
    "resource.counts": (Type(Kind.LIST, element=INT), False),
    "time.now": (Type(Kind.TIMESTAMP), False),
    "time.age": (Type(Kind.DURATION), False),
}
SLOTS = {path: slot for slot, path in enumerate(DECLARED)}


class FewZones:
    """Zones without a calendar of changes: each has one offset all year."""

    OFFSETS: Mapping[str, int] = {
        "Europe/Berlin": 3_600,
        "America/New_York": -18_000,
        "Asia/Kathmandu": 20_700,
        "UTC": 0,
    }

    def offset(self, zone: str, at: Timestamp) -> int:
        del at
        return self.OFFSETS[zone]


ZONES = FewZones()
SCOPE = Scope(
    {path: Variable(SLOTS[path], type_, optional) for path, (type_, optional) in DECLARED.items()},
    FewZones.OFFSETS.__contains__,
)
DEFAULTS: dict[str, State] = {
    "action.amount": 100,
    "action.rate": 1.5,
    "action.dry": False,
    "subject.role": "clerk",
    "subject.roles": ["clerk", "auditor"],
    "resource.note": "n",
    "resource.consent": True,
    "resource.owner": {"name": "Ann"},
    "resource.owners": [{"name": "Ann"}, {"name": "Bo", "email": "bo@example.org"}],
    "resource.labels": {"env": "prod"},
    "resource.counts": [1, 2, 3],
    "time.now": Timestamp(0),
}


def row(given: Mapping[str, State] | None = None) -> list[State]:
    """The defaults, with what is given in their place; what neither names is unknown."""
    known = DEFAULTS | dict(given or {})
    return [known.get(path, Missing.UNKNOWN) for path in DECLARED]


def evaluate(text: str, given: Mapping[str, State] | None = None) -> Result:
    """What a condition gives over the declared world."""
    return link(check(text, SCOPE).node, ZONES)(row(given))
