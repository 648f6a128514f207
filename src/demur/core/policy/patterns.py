"""Names and patterns of actions and resource types: `*` stands for any run of characters, the empty one included.

- A pattern matches a whole name, case counts, and nothing but `*` is special.
- Matching takes time proportional to the product of the lengths at worst: there is no backtracking to exploit.

Clauses: S3.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY = "*"


def is_pattern(text: str) -> bool:
    """Whether the text can match more than one name."""
    return ANY in text


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern matches the whole name."""
    if ANY not in pattern:
        return pattern == name
    first, *middle, last = pattern.split(ANY)
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def expand(patterns: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The names that one of the patterns matches, in the order of `names`."""
    wanted = tuple(patterns)
    exact = {pattern for pattern in wanted if ANY not in pattern}
    loose = [pattern for pattern in wanted if ANY in pattern]
    return tuple(name for name in names if name in exact or any(matches(pattern, name) for pattern in loose))


def includes(outer: str, inner: str) -> bool:
    """Whether every name that `inner` matches is matched by `outer` too."""
    # A `*` of `inner` can stand for a character that `outer` does not write out, so only a `*` of `outer` covers it:
    # reading `inner` as a name, in which `*` is such a character, decides the question exactly.
    return matches(outer, inner) if ANY in outer else outer == inner


def overlap(left: str, right: str) -> bool:
    """Whether some name is matched by both."""
    mine, theirs = left.partition(ANY)[0], right.partition(ANY)[0]
    if not (mine.startswith(theirs) or theirs.startswith(mine)):
        return False
    reached = {0}
    for symbol in left:
        reached = _closure(reached, right)
        reached = _after_any(reached, right) if symbol == ANY else _after(reached, right, symbol)
    return len(right) in _closure(reached, right)


def _closure(places: set[int], pattern: str) -> set[int]:
    """The places in the pattern reachable without a character."""
    closed = set(places)
    for place in sorted(places):
        at = place
        while at < len(pattern) and pattern[at] == ANY:
            at += 1
            closed.add(at)
    return closed


def _after(places: set[int], pattern: str, symbol: str) -> set[int]:
    stay = {at for at in places if at < len(pattern) and pattern[at] == ANY}
    return stay | {at + 1 for at in places if at < len(pattern) and pattern[at] == symbol}


def _after_any(places: set[int], pattern: str) -> set[int]:
    return set(range(min(places), len(pattern) + 1)) if places else set()
