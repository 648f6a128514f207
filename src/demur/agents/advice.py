"""What a calling agent does with a refusal that it got as data: the next request, or how long to wait.

    told = refund("i-9", 90_000)                 # guarded with on_refusal="return"
    if advice.is_refused(told):
        for offer in advice.offers(told):        # cheapest first, each judged to lead to what it promises
            request = advice.apply(request, offer)

An offer is applied literally: nothing is guessed. What cannot be applied by the requester (another person's consent,
the passing of time) is not an offer; `earliest` says when to come back.

Clauses: S9; names: wire.md.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from demur.core.schema import argument_name
from demur.core.terms import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.core.terms import Timestamp

__all__ = ["alternatives", "apply", "earliest", "is_refused", "offers", "remediation"]

Json: TypeAlias = Mapping[str, object]
_HOLDERS = {"subject": "properties", "actor": "properties", "resource": "properties", "context": ""}


def is_refused(told: object) -> bool:
    """Whether this is a refusal or a deferral as data, rather than what the function returned."""
    return isinstance(told, Mapping) and told.get("decision") is False and "refusal" in _table(told.get("context"))


def remediation(told: Json) -> Json:
    """What the refusal says about a way forward."""
    return _table(_table(_table(told.get("context")).get("refusal")).get("remediation"))


def offers(told: Json, *, leads_to: Sequence[str] = ("allow",)) -> tuple[Json, ...]:
    """The changes that the requester can make without anybody's help, cheapest first, and that lead there."""
    listed = _tables(remediation(told).get("suggested_modifications"))
    return tuple(item for item in listed if item.get("leads_to") in leads_to and _is_complete(item))


def alternatives(told: Json, *, leads_to: Sequence[str] = ("allow",)) -> tuple[Json, ...]:
    """Other actions that the policy offers instead, and that lead there."""
    listed = _tables(remediation(told).get("compliant_alternatives"))
    return tuple(item for item in listed if item.get("leads_to") in leads_to)


def earliest(told: Json) -> Timestamp | None:
    """The earliest instant at which the same request was judged to be allowed; `None` where none is known."""
    listed = _tables(remediation(told).get("suggested_modifications"))
    times = [item["earliest"] for item in listed if item.get("leads_to") == "allow" and "set" not in item]
    return min((parse_timestamp(at) for at in times if isinstance(at, str)), default=None) if times else None


def apply(request: Json, offer: Json) -> dict[str, object]:
    """The request with this offer applied: a change of facts, or another action. The given request stays as it is.

    Raises `ValueError` for an offer that does not say all that is to be changed.
    """
    changed: dict[str, object] = copy.deepcopy(dict(request))
    if "action" in offer:
        changed["action"] = {"name": offer["action"], "properties": dict(_table(offer.get("arguments")))}
        return changed
    if not _is_complete(offer):
        message = "expected an offer that names every value to set, found one that somebody else must complete"
        raise ValueError(message)
    for path, value in _table(offer.get("set")).items():
        holder, name = _place(changed, path)
        holder[name] = value
    left_out = offer.get("leave_out")
    for path in left_out if isinstance(left_out, list) else []:
        holder, name = _place(changed, str(path))
        holder.pop(name, None)
    return changed


def _is_complete(offer: Json) -> bool:
    """Whether the requester alone can do all of it with what the offer says."""
    if offer.get("kind") != "change" or "supply" in offer:
        return False
    left_out = offer.get("leave_out")
    told = {*_table(offer.get("set")), *(left_out if isinstance(left_out, list) else ())}
    return bool(told) and told == set(_table(offer.get("direction")))


def _place(request: dict[str, object], path: str) -> tuple[dict[str, object], str]:
    """The object of the request that holds this fact, made where it is missing, and the fact's name in it."""
    root, _, rest = path.partition(".")
    if root == "action":
        return _inner(_inner(request, "action"), "properties"), argument_name(path)
    if root not in _HOLDERS or not rest:
        message = f"expected a fact of the request, found `{path}`"
        raise ValueError(message)
    holder = _inner(request, root)
    for name in (_HOLDERS[root], *rest.split(".")[:-1]):
        holder = _inner(holder, name) if name else holder
    return holder, rest.rpartition(".")[2]


def _inner(holder: dict[str, object], name: str) -> dict[str, object]:
    found = holder.get(name)
    made = dict(found) if isinstance(found, Mapping) else {}
    holder[name] = made
    return made


def _table(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
