"""Bounds and lengths of time as they are typed: `amount=500`, `10m`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.policy.document import Narrowing


def read_seconds(option: str, text: str) -> int:
    """The duration in whole seconds; raises `ConfigurationError` where it is none."""
    from demur.core.terms import NANOS, parse_duration

    try:
        return parse_duration(text).nanos // NANOS
    except ValueError as error:
        raise ConfigurationError(f"`{option}`: {error}") from error


def read_narrowings(at_most: list[str], at_least: list[str], fixed: list[str]) -> tuple[Narrowing, ...]:
    """Bounds as they are typed, `amount=500`; raises `ConfigurationError`."""
    from demur.core.policy.document import Narrowing

    found: list[Narrowing] = []
    for option, texts in (("at_most", at_most), ("at_least", at_least), ("set", fixed)):
        for text in texts:
            name, _, value = text.partition("=")
            bound = _bound(value)
            if not name or bound is None or (option != "set" and isinstance(bound, bool | str)):
                expected = f"expected a bound such as `amount=500` with `--{option.replace('_', '-')}`"
                raise ConfigurationError(f"{expected}, found `{text[:60]}`")
            found.append(msgspec.convert({"argument": name, option: bound}, Narrowing))
    return tuple(found)


def _bound(text: str) -> bool | int | float | str | None:
    if text in {"true", "false"}:
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text or None
