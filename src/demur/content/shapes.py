"""What statements look like: looks for the patterns of `shapes.yaml` in a text.

A *strong* shape is enough by itself: no plain sentence has it. A *weak* one also occurs in prose, formulas or lists;
two of them close together are enough, and one within code marks.
"""

from __future__ import annotations

import itertools
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import msgspec
import re2
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEAR_BYTES = 300
"""Two weak shapes count together within this distance."""
_MAX_HITS = 2_000
"""Weak hits looked at in one text; more do not make it more of a program."""


class Hit(msgspec.Struct, frozen=True, order=True):
    """One shape found, by byte offsets."""

    start: int
    end: int
    language: str


class _Language(msgspec.Struct, frozen=True):
    name: str
    strong: object
    weak: object


def strong(text: bytes) -> Hit | None:
    """The first strong shape, or `None`."""
    found = (_first(language.strong, language.name, text) for language in _languages())
    return min((hit for hit in found if hit is not None), default=None)


def weak(text: bytes) -> list[Hit]:
    """All weak shapes that do not overlap, in order."""
    hits = sorted(hit for language in _languages() for hit in _all(language.weak, language.name, text))
    apart: list[Hit] = []
    for hit in hits:
        if not apart or hit.start >= apart[-1].end:
            apart.append(hit)
    return apart


def hits(text: bytes) -> list[Hit]:
    """Where shapes are: the first strong one of every language, and all weak ones."""
    found = (_first(language.strong, language.name, text) for language in _languages())
    return sorted([*(hit for hit in found if hit is not None), *weak(text)])


def together(hits: list[Hit]) -> Hit | None:
    """The first two weak shapes close to each other, as one."""
    for one, two in itertools.pairwise(hits):
        if two.start - one.end <= _NEAR_BYTES:
            named = next((hit.language for hit in (one, two) if hit.language != "code"), "code")
            return Hit(one.start, two.end, named)
    return None


def prepare() -> None:
    """Compile the patterns now instead of at the first use."""
    _languages()


@cache
def _languages() -> tuple[_Language, ...]:
    document = yaml.safe_load(resources.files(__package__).joinpath("shapes.yaml").read_text("utf-8"))
    names: dict[str, str] = document["names"]
    return tuple(
        _Language(name, _compile(shapes.get("strong", []), names), _compile(shapes.get("weak", []), names))
        for name, shapes in document["languages"].items()
    )


def _compile(patterns: list[str], names: dict[str, str]) -> object:
    if not patterns:
        return None
    joined = "(?m)" + "|".join(f"(?:{pattern})" for pattern in patterns)
    for name in reversed(names):
        joined = joined.replace(f"<{name}>", names[name])
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(joined.encode("latin-1"), options)


def _first(pattern: object, language: str, text: bytes) -> Hit | None:
    match = None if pattern is None else pattern.search(text)  # type: ignore[attr-defined]  # the binding has no types
    return None if match is None else Hit(match.start(), match.end(), language)


def _all(pattern: object, language: str, text: bytes) -> Iterator[Hit]:
    if pattern is None:
        return
    for count, match in enumerate(pattern.finditer(text)):  # type: ignore[attr-defined]  # the binding has no types
        if count >= _MAX_HITS:
            return
        yield Hit(match.start(), match.end(), language)
