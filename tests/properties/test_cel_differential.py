"""Random well-typed conditions give what Google's implementation of CEL gives: the same value, or both an error."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest

from demur.adapters.zones import TzdataZones
from demur.core.cel import Fault, Scope, Variable, check, link
from tests.properties.condition_texts import VARIABLES, Writer, values
from tests.properties.condition_values import declared, held

cel = pytest.importorskip("cel_expr_python.cel")

CASES = int(os.environ.get("DEMUR_DIFFERENTIAL_CASES", "2000"))
SEED = int(os.environ.get("DEMUR_DIFFERENTIAL_SEED", "1"))
ROOTS = ["bool"] * 6 + ["int", "double", "string", "list<int>", "list<string>", "list<bool>", "map<string, int>"]
ERROR = "error"
ZONES = TzdataZones()


def foreign(text: str) -> Any:
    if text.startswith("list<"):
        return cel.Type.List(foreign(text[5:-1]))
    if text.startswith("map<"):
        return cel.Type.Map(cel.Type.STRING, cel.Type.INT)
    return getattr(cel.Type, text.upper())


SCOPE = Scope(
    {path: Variable(slot, declared(text)) for slot, (path, text) in enumerate(VARIABLES.items())}, ZONES.is_zone
)
ENVIRONMENT = cel.NewEnv(variables={path: foreign(text) for path, text in VARIABLES.items()})


def demur_says(text: str, given: dict[str, Any]) -> Any:
    program = link(check(text, SCOPE).node, ZONES)
    result = program([held(given[path]) for path in VARIABLES])
    return ERROR if isinstance(result, Fault) else plain(result)


def google_says(text: str, given: dict[str, Any]) -> Any:
    compiled = ENVIRONMENT.compile(text)
    try:
        result = compiled.eval(data=given)
    except RuntimeError:
        return ERROR
    return ERROR if result.type() == cel.Type.ERROR else plain(result.plain_value())


def plain(value: Any) -> Any:
    """A value with its kind, so that `1`, `1.0` and `true` differ and NaN equals itself."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value).__name__, repr(value)


def case(number: int) -> tuple[str, dict[str, Any]]:
    rng = Random(SEED * 1_000_003 + number)
    return Writer(rng).write(rng.choice(ROOTS), rng.randint(1, 4)), values(rng)


def test_every_condition_gives_what_the_other_implementation_gives() -> None:
    differences, errors = [], 0
    for number in range(CASES):
        text, given = case(number)
        mine, theirs = demur_says(text, given), google_says(text, given)
        errors += theirs == ERROR
        if mine != theirs:
            differences.append((number, text, {name: given[name] for name in given if name in text}, mine, theirs))
    assert differences == []
    # Both sides of the comparison must be exercised: failures and values.
    assert CASES // 50 < errors < CASES // 2
