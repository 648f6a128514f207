"""The official cases of the CEL specification: 698 within the profile, those left out named one by one with the reason.

A case that expects an error passes where the condition is refused or gives a fault. Values are compared by type:
`1` is not `1.0`, and `true` is not `1`.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from demur.adapters.zones import TzdataZones
from demur.core.cel import Fault, Unknown, adhoc, to_json
from demur.errors import ConditionError

LEFT_OUT = Path(__file__).resolve().parents[2] / "vectors" / "cel" / "left_out.json"
REFUSED = object()
ZONES = TzdataZones()


def identity(case: dict[str, Any]) -> str:
    return f"{case['file']}/{case['section']}/{case['name']}"


@functools.cache
def cases() -> list[dict[str, Any]]:
    folder = os.environ.get("DEMUR_VECTORS")
    if not folder:
        return []
    found: list[dict[str, Any]] = json.loads((Path(folder) / "cel" / "profile.json").read_text("utf-8"))
    return found


@functools.cache
def left_out() -> dict[str, str]:
    return {entry["case"]: entry["reason"] for entry in json.loads(LEFT_OUT.read_text("utf-8"))}


def outcome(case: dict[str, Any]) -> object:
    try:
        result = adhoc(case["expr"], case["bind"], ZONES)
    except ConditionError:
        return REFUSED
    return REFUSED if isinstance(result, Fault | Unknown) else result


def is_same(found: Any, wanted: Any) -> bool:
    match wanted:
        case bool() | None | int() | str():
            return type(found) is type(wanted) and found == wanted
        case float():
            return isinstance(found, float) and (found == wanted or (found != found and wanted != wanted))  # noqa: PLR0124
        case list():
            return isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(is_same, found, wanted))
        case _:
            return found.keys() == wanted.keys() and all(is_same(found[key], wanted[key]) for key in wanted)


def within() -> list[dict[str, Any]]:
    return [case for case in cases() if identity(case) not in left_out()]


@pytest.mark.parametrize("case", within() or [{}], ids=lambda case: identity(case) if case else "no-vectors")
def test_official_case(case: dict[str, Any], vectors: Path) -> None:
    assert vectors.is_dir()
    found = outcome(case)
    if case.get("error"):
        assert found is REFUSED
    else:
        assert found is not REFUSED
        assert is_same(found, case["value"]), (found, case["value"])


def test_at_most_what_the_profile_excludes_is_left_out(vectors: Path) -> None:
    known = {identity(case): case for case in cases()}
    assert vectors.is_dir()
    assert left_out().keys() <= known.keys()
    assert len(known) - len(left_out()) >= 630
    for name in left_out():
        case = known[name]
        assert case["file"] == "enums" or case["container"] or case["disable_check"], name


def test_a_case_left_out_for_its_typing_is_refused_and_never_answered_wrongly(vectors: Path) -> None:
    assert vectors.is_dir()
    unchecked = [case for case in cases() if identity(case) in left_out() and not case["container"]]
    assert [identity(case) for case in unchecked if outcome(case) is not REFUSED] == []


def test_values_are_compared_by_type() -> None:
    assert not is_same(1, 1.0)
    assert not is_same(1.0, 1)
    assert not is_same(True, 1)
    assert not is_same([1], [True])
    assert is_same((1, "a"), [1, "a"])


def test_special_doubles_become_text_in_json() -> None:
    assert to_json(float("inf")) == "Infinity"
    assert to_json(float("-inf")) == "-Infinity"
    assert to_json(float("nan")) == "NaN"
