"""What statements look like: patterns that tell program text from prose, by language.

A *strong* shape is enough by itself: no plain sentence has it. A *weak* one also occurs in prose, formulas or lists; two
of them close together are enough, and one within code marks. Patterns are RE2's, so no text makes them slow. They are
matched against UTF-8 bytes with `^` and `$` at lines.

`<ID>` is a name, `<START>` the place where a statement may begin (of a line, or after a mark, a prompt or a quote),
`<END>` where one may end. Ordinary English in the keywords of SQL is why its shapes ask for more than the keywords.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import re2

from demur.content.shapes_compiled import COMPILED
from demur.content.shapes_queries import QUERIES
from demur.content.shapes_scripts import SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACEHOLDERS = {
    "<ID>": r"[A-Za-z_]\w*",
    "<START>": r"(?:^|[;:{}()\x60\"'>|&,=])[ \t]*(?:[$#%>] +|>>> +|\d+[.)] +|[-*] +)?",
    "<END>": r"[ \t]*(?:$|[;)}\x60\"'#])",
}
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


def together(hits: list[Hit]) -> Hit | None:
    """The first two weak shapes close to each other, as one."""
    for one, two in zip(hits, hits[1:], strict=False):
        if two.start - one.end <= _NEAR_BYTES:
            named = next((hit.language for hit in (one, two) if hit.language != "code"), "code")
            return Hit(one.start, two.end, named)
    return None


def prepare() -> None:
    """Compile the patterns now instead of at the first use."""
    _languages()


@cache
def _languages() -> tuple[_Language, ...]:
    return tuple(
        _Language(name, _compile(shapes["strong"]), _compile(shapes.get("weak", ())))
        for name, shapes in (*SCRIPTS.items(), *COMPILED.items(), *QUERIES.items())
    )


def _compile(patterns: tuple[str, ...]) -> object:
    if not patterns:
        return None
    joined = "(?m)" + "|".join(f"(?:{pattern})" for pattern in patterns)
    for name, pattern in _PLACEHOLDERS.items():
        joined = joined.replace(name, pattern)
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
