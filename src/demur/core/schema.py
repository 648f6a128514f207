"""What is declared: the types of facts, the arguments of actions, where facts come from and who may see them.

- A fact has a dotted path of two or more names: `subject.role`, `account.frozen`, `usage.refunds_today`.
  Arguments of an action are the facts `action.<argument>`; two actions may declare one name with different types.
  An argument called `name`, as many tools have it, is `action.arguments.name`, since `action.name` is the action.
- Every fact has a *slot*: its index in the row of values that conditions read.
- `request` is the only source whose facts are claims; every other source resolves (S2.2).

Clauses: S1.2, S1.3, S2, S4.1, S10.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from demur.core.terms import Audience, Value

REQUEST = "request"
"""The source of what the caller claims."""
DESK = "desk"
"""The source of what is known of the review desk itself, where the policies declare one."""

BUILT_IN: dict[str, tuple[str, bool]] = {
    "subject.type": ("string", False),
    "subject.id": ("string", False),
    "actor.type": ("string", False),
    "actor.id": ("string", False),
    "caller.id": ("string", False),
    "action.name": ("string", False),
    "resource.type": ("string", False),
    "resource.id": ("string", False),
    "session.id": ("string", True),
    "model.name": ("string", True),
    "model.version": ("string", True),
    "time.now": ("timestamp", False),
}
"""Facts that every request has without a declaration: path to type and whether it may be absent."""


_ARGUMENT = "action."
_SHADOWED = "action.arguments."


def argument_path(name: str) -> str:
    """The fact that an argument is. One that is called as a built-in fact (`name`) is `action.arguments.name`."""
    path = _ARGUMENT + name
    return _SHADOWED + name if path in BUILT_IN else path


def argument_name(path: str) -> str:
    """The argument that a fact of an action is: the other way round."""
    shadowed = path.removeprefix(_SHADOWED)
    return shadowed if argument_path(shadowed) == path else path.removeprefix(_ARGUMENT)


class Kind(StrEnum):
    """The types of the condition language. `DYN` exists only for `policy eval` over undeclared values."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    LIST = "list"
    MAP = "map"
    OBJECT = "object"
    DYN = "dyn"


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field of an object type."""

    name: str
    type: Type
    optional: bool = False


class Type(msgspec.Struct, frozen=True, gc=False):
    """A type: `element` for lists and the values of maps, `key` for the keys of maps, `fields` for objects."""

    kind: Kind
    element: Type | None = None
    key: Type | None = None
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case Kind.LIST:
                return f"list<{self.element}>"
            case Kind.MAP:
                return f"map<{self.key}, {self.element}>"
            case Kind.OBJECT:
                inner = ", ".join(f"{f.name}{'?' if f.optional else ''}: {f.type}" for f in self.fields)
                return f"object{{{inner}}}"
            case _:
                return self.kind.value


class Visibility(StrEnum):
    """How much of a fact an audience may see (S10): the value, only the direction of a change, or nothing."""

    SHOW = "show"
    DIRECTION = "direction"
    HIDE = "hide"


class Change(msgspec.Struct, frozen=True):
    """The requester may change this fact. `cost` orders repairs, smaller first."""

    cost: float = 1.0


class Obtain(msgspec.Struct, frozen=True):
    """Somebody can bring this fact about. `how` tells the requester; `by` names the role that can."""

    how: str
    by: str = ""


class Await(msgspec.Struct, frozen=True):
    """This fact changes by itself, announced by `event`."""

    event: str


class Detect(msgspec.Struct, frozen=True):
    """What a source of kind `content` looks for (`code`), and the path of the text fact in which it looks."""

    what: str
    of: str


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One declared fact or argument."""

    path: str
    type: Type
    source: str = REQUEST
    description: str = ""
    unit: str = ""
    optional: bool = False
    change: Change | None = None
    obtain: Obtain | None = None
    awaits: Await | None = None
    personal: bool = False
    confidential: bool = False
    secret: bool = False
    bound: bool = False
    """Part of the action digest (context members only; arguments always are)."""
    visible: dict[Audience, Visibility] = {}
    recheck_at_redeem: bool = False
    one_of: tuple[Value, ...] = ()
    """The values allowed at intake; empty means any."""
    detect: Detect | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One declared action; `arguments` are facts whose paths begin with `action.`."""

    name: str
    description: str = ""
    arguments: tuple[Fact, ...] = ()
    resource_types: tuple[str, ...] = ()
    namespace: str = ""
    same_as: str = ""
    """Another declared action that does the same: attempts at either are linked (S8.2)."""


class Window(msgspec.Struct, frozen=True):
    """The span over which usage counts: a calendar unit in a zone, or the last `seconds`, or (both empty) ever."""

    calendar: str = ""
    zone: str = ""
    seconds: int = 0


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A usage fact (S4.1): grants, live or redeemed, of `actions`, for one `key`, over `window`.

    `key` lists the facts that name whom it counts; `adds` is the argument to sum, or empty to count grants.
    """

    path: str
    actions: tuple[str, ...]
    key: tuple[str, ...]
    window: Window
    adds: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where facts come from: `kind` names the adapter, `settings` are its own, times in milliseconds."""

    name: str
    kind: str
    settings: dict[str, Value] = {}
    timeout_ms: int = 1_000
    ttl_ms: int = 0


class Slot(msgspec.Struct, frozen=True):
    """One column of the row that conditions read."""

    path: str
    type: Type
    optional: bool
    source: str


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Everything declared, with the row layout. `slots` holds the built-in facts first, in the order of `BUILT_IN`."""

    facts: dict[str, Fact] = {}
    actions: dict[str, Action] = {}
    sources: dict[str, Source] = {}
    counters: dict[str, Counter] = {}
    slots: tuple[Slot, ...] = ()
    zone: str = "UTC"
    repeats: int = 0
    """Repeats against advice until quarantine (S8.3); 0 where the policies say nothing."""

    def counted(self, path: str) -> Type | None:
        """The type of a fact that Demur counts itself, under the append lock (S4.2); `None` for every other path."""
        if path in self.counters:
            return Type(Kind.INT)
        return next((slot.type for slot in self.slots if slot.path == path and slot.source == DESK), None)
