"""A value -> the rules that it does not make false, as the bits of one integer.

Bit `i` stands for rule `i` of a bucket. Every mask here keeps the bits of the rules that say nothing about the fact, so
that the masks of all facts are simply combined with `&`.

    text     a dictionary: constant -> mask, and one mask for every other text
    numbers  sorted constants c0 < c1 < ..., and a mask for each place: below c0, at c0, between c0 and c1, ...
    lists    a dictionary: member -> rules that it satisfies, and another for rules that it breaks

A lookup answers `None` for a value that is not of the declared kind; the rules about that fact then count as failed, so
that `True` is never taken for `1` and a wrongly typed fact never permits.

Clauses: S2.1, S3.1.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

from demur.core.policy import predicates
from demur.core.policy.atoms import Family
from demur.core.policy.predicates import Every, Places
from demur.core.terms import Duration, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from demur.core.policy.predicates import Key, Test
    from demur.core.terms import Value

    Lookup: TypeAlias = Callable[[Value], int | None]

MAX_TABLE_BYTES = 32 * 1024 * 1024
"""A table that would need more is not built; its tests are evaluated as programs instead."""
MAX_STEPS = 64
"""Comparisons that one rule may make with one fact and still be in its table; a list of options is one comparison."""

_LISTS = (list, tuple)


def size(family: Family, tests: Mapping[int, Sequence[Test]], width: int) -> int:
    """The bytes that the table of these tests takes at most; `width` is the number of rules in the bucket."""
    distinct = len({key for parts in tests.values() for test in parts for key in predicates.constants(test)})
    masks = distinct + 1 if family is Family.TEXT else 2 * distinct + 2
    return masks * (width // 8 + 64)


def is_quick(tests: Mapping[int, Sequence[Test]]) -> bool:
    """Whether the table of these tests can be made without comparing long tests at many places."""
    return all(sum(map(predicates.steps, parts)) <= MAX_STEPS for parts in tests.values())


def facts_lookup(family: Family, tests: Mapping[int, Sequence[Test]], full: int) -> Lookup:
    """The lookup of one fact: `tests` by the bit of their rule, `full` the mask of all rules."""
    joined = {bit: parts[0] if len(parts) == 1 else Every(tuple(parts)) for bit, parts in tests.items()}
    if family is Family.FLAG:
        return _flag(joined, full)
    mentions = _mentions(joined)
    places = Places(mentions)
    match family:
        case Family.PRESENCE:
            return _presence(_start(joined, places, full))
        case Family.TEXT:
            return _text(joined, places, mentions, full)
        case Family.NUMBER:
            return _number(places.keys, _sweep(joined, places, mentions, full), _nan(joined, full))
        case Family.INSTANT:
            return _nanos(Timestamp, places.keys, _sweep(joined, places, mentions, full))
        case Family.SPAN:
            return _nanos(Duration, places.keys, _sweep(joined, places, mentions, full))


def _mentions(tests: Mapping[int, Test]) -> dict[Key, list[int]]:
    """Constant -> the rules that compare with it."""
    mentions: dict[Key, list[int]] = {}
    for bit, test in tests.items():
        for key in predicates.constants(test):
            mentions.setdefault(key, []).append(bit)
    return mentions


def when_absent(tests: Mapping[int, Sequence[Test]], full: int) -> tuple[int, int]:
    """The rules that an absent fact does not make false, and those of them that it makes fail."""
    alive, failed = full, 0
    for bit, parts in tests.items():
        answer = predicates.holds_when_absent(Every(tuple(parts)))
        if answer is None:
            failed |= 1 << bit
        elif not answer:
            alive &= ~(1 << bit)
    return alive, failed


def list_lookup(wanted: Mapping[int, frozenset[str]], banned: Mapping[int, frozenset[str]], full: int) -> Lookup:
    """The lookup of one list of text: rules that need one of `wanted`, and rules that bear none of `banned`."""
    satisfied, broken = _by_member(wanted), _by_member(banned)
    start = full & ~sum(1 << bit for bit in wanted)

    def lookup(value: Value) -> int | None:
        if not isinstance(value, _LISTS):
            return None
        alive, lost = start, 0
        for member in value:
            if type(member) is not str:
                return None
            alive |= satisfied.get(member, 0)
            if broken:
                lost |= broken.get(member, 0)
        return alive & ~lost

    return lookup


def _by_member(sets: Mapping[int, Iterable[str]]) -> dict[str, int]:
    masks: dict[str, int] = {}
    for bit, members in sets.items():
        for member in members:
            masks[member] = masks.get(member, 0) | 1 << bit
    return masks


def _start(tests: Mapping[int, Test], places: Places, full: int) -> int:
    """The rules that a value below, or other than, every constant does not make false."""
    return full & ~sum(1 << bit for bit, test in tests.items() if not predicates.holds(test, 0, places))


def _moved(mask: int, bits: Iterable[int], tests: Mapping[int, Test], place: int, places: Places) -> int:
    """`mask` with the rules `bits` judged afresh at `place`."""
    for bit in bits:
        if (mask >> bit & 1) != predicates.holds(tests[bit], place, places):
            mask ^= 1 << bit
    return mask


def _sweep(tests: Mapping[int, Test], places: Places, mentions: Mapping[Key, Sequence[int]], full: int) -> list[int]:
    """The mask of every place, from the lowest: only rules that mention a constant change there."""
    mask = _start(tests, places, full)
    masks = [mask]
    for key, place in places.of.items():
        for at in (place, place + 1):
            mask = _moved(mask, mentions[key], tests, at, places)
            masks.append(mask)
    return masks


def _text(tests: Mapping[int, Test], places: Places, mentions: Mapping[Key, Sequence[int]], full: int) -> Lookup:
    other = _start(tests, places, full)
    masks = {key: _moved(other, mentions[key], tests, place, places) for key, place in places.of.items()}

    def lookup(value: Value) -> int | None:
        return masks.get(value, other) if type(value) is str else None

    return lookup


def _flag(tests: Mapping[int, Test], full: int) -> Lookup:
    places = Places((False, True))
    no, yes = (_moved(full, tests, tests, places.of[key], places) for key in places.keys)

    def lookup(value: Value) -> int | None:
        if value is True:
            return yes
        return no if value is False else None

    return lookup


def _nan(tests: Mapping[int, Test], full: int) -> int:
    return full & ~sum(1 << bit for bit, test in tests.items() if not predicates.holds_for_nan(test))


def _number(keys: list[Key], masks: list[int], nan: int) -> Lookup:
    size = len(keys)

    def lookup(value: Value) -> int | None:
        kind = type(value)
        if kind is not int and kind is not float:
            return None
        at = bisect_left(keys, value)  # type: ignore[type-var]  # numbers, as the line above made sure
        if at < size and keys[at] == value:
            return masks[2 * at + 1]
        return nan if value != value else masks[2 * at]  # noqa: PLR0124  (true of a NaN only)

    return lookup


def _nanos(kind: type[Timestamp | Duration], keys: list[Key], masks: list[int]) -> Lookup:
    size = len(keys)

    def lookup(value: Value) -> int | None:
        if type(value) is not kind:
            return None
        nanos = value.nanos
        at = bisect_left(keys, nanos)
        return masks[2 * at + 1 if at < size and keys[at] == nanos else 2 * at]

    return lookup


def _presence(mask: int) -> Lookup:
    def lookup(_value: Value) -> int | None:
        return mask

    return lookup
