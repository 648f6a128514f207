"""Stretches that the author marked as code: fenced blocks and `code spans` of CommonMark."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import msgspec
from pygments.lexers import get_all_lexers  # type: ignore[import-untyped]  # published without types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it import MarkdownIt

_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]{1,500})\1(?!`)")
_DATA_FORMATS = frozenset(
    {
        *("json", "json5", "jsonld", "json-ld", "yaml", "yml", "xml", "toml", "ini", "cfg", "dosini"),
        *("properties", "csv", "tsv", "text", "txt", "plain", "plaintext", "markdown", "md", "diff", "udiff"),
        *("patch", "output", "http", "email", "eml", "rst", "restructuredtext", "tex", "latex", "gettext", "pot"),
        *("po", "mime", "irc", "log"),
    }
)
"""Labels that promise data, prose or a mixture: what they label is judged like any other text."""


class Marked(msgspec.Struct, frozen=True):
    """One stretch, by character offsets of its content. `language` is empty where none is named."""

    start: int
    end: int
    language: str
    is_block: bool


def marked(text: str) -> Iterator[Marked]:
    """All fenced blocks, then all code spans."""
    if "```" in text or "~~~" in text:
        yield from _fences(text)
    for match in _SPAN.finditer(text):
        yield Marked(match.start(2), match.end(2), "", is_block=False)


def _fences(text: str) -> Iterator[Marked]:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in _markdown().parse(text):
        if token.type == "fence" and token.map is not None:
            first = token.map[0] + 1
            start, end = (starts[min(line, len(starts) - 1)] for line in (first, first + token.content.count("\n")))
            yield Marked(start, end, _language(token.info), is_block=True)


def _language(info: str) -> str:
    """The programming language that a fence names; empty where it names none."""
    label = re.split(r"[\s{,:]", info.strip().lower(), maxsplit=1)[0]
    return label if label in _names() and label not in _DATA_FORMATS else ""


@cache
def _names() -> frozenset[str]:
    """The short names of all languages that Pygments knows."""
    return frozenset(alias.lower() for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases)


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415  (optional: the extra `content`)

    return MarkdownIt("zero").enable(["fence", "blockquote", "list"])
