"""Values of a decision as pages show them: masked where they are personal, and where each of them came from.

Clauses: S1.5, S2.2, S5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import personal
from demur.core.personal import Protection
from demur.core.schema import BUILT_IN, REQUEST
from demur.core.terms import Missing, State, Timestamp, to_json

if TYPE_CHECKING:
    from demur.core.schema import Fact
    from demur.steps.explaining import Opened
    from demur.steps.revealing import Revealed


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value. `text` is empty where it is masked, secret, absent or unknown; `state` says which of the last two."""

    path: str
    text: str = ""
    state: str = ""
    protection: str = Protection.NONE.value
    is_revealed: bool = False
    source: str = ""
    trust: str = ""
    at: Timestamp | None = None
    why: str = ""
    description: str = ""


def asked(opened: Opened, revealed: Revealed | None) -> list[tuple[str, Value]]:
    """What the caller sent, claims included, by path, and the names of arguments that were not kept."""
    known = personal.values(opened.kept.request, {})
    told = [(path, _value(path, state, opened, revealed)) for path, state in known.items() if path != "action.name"]
    secret = sorted(path for path in opened.withheld if path.startswith("action.") and path not in known)
    return told + [(path, Value(path=path, protection=Protection.SECRET.value)) for path in secret]


def facts(opened: Opened, revealed: Revealed | None) -> list[Value]:
    """The facts that rules read and the caller's request does not hold already, each with source, trust and time."""
    schema = opened.policies.schema
    return [
        msgspec.structs.replace(
            _value(path, seen.state, opened, revealed),
            source=seen.source,
            trust="claimed" if path not in BUILT_IN and seen.source == REQUEST else "resolved",
            at=seen.at,
            why=seen.why,
            description=schema.facts[path].description if path in schema.facts else "",
        )
        for path, seen in sorted(opened.explanation.facts.items())
        if not path.startswith("action.")
    ]


def beside(path: str, state: State, opened: Opened) -> Value:
    """A value of another decision at the same path, under the same protection; it is never revealed from here."""
    return _value(path, state, opened, None)


def unit(path: str, opened: Opened) -> str:
    """The declared unit of an argument, "" for none."""
    fact = _argument(path, opened)
    return fact.unit if fact else ""


def _value(path: str, state: object, opened: Opened, revealed: Revealed | None) -> Value:
    kind = personal.protection(path, opened.kept.request, opened.policies.schema)
    if path in opened.withheld:
        kind = Protection.SECRET
    if kind is Protection.PERSONAL and revealed is not None and revealed.path == path:
        return Value(path=path, text=_text(revealed.value), protection=kind.value, is_revealed=True)
    if isinstance(state, Missing) and kind is not Protection.SECRET:
        return Value(path=path, state=state.value)
    shown = _text(to_json(state)) if kind is Protection.NONE else ""
    return Value(path=path, text=shown, protection=kind.value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _argument(path: str, opened: Opened) -> Fact | None:
    action = opened.policies.schema.actions.get(opened.kept.request.action)
    return next((fact for fact in action.arguments if fact.path == path), None) if action else None
