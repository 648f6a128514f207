"""Does a text contain program text, in any of about two dozen languages, plain, marked, encoded or disguised?

    contains_code("This is important, please import the list.")   -> None
    contains_code("drop table users")                             -> sql, by its shape
    contains_code("aW1wb3J0IG9zCm9zLnN5c3RlbSgnbHMnKQ==")         -> python, within base64

1. The text is unfolded: compatibility forms and invisible characters, then encodings, at most three layers deep.
2. What the author marked as code counts as code: a fence that names a programming language, or any fence or code span
   with at least one shape of a statement in it.
3. Elsewhere one strong shape, or two weak ones close together, make program text.
4. Stretches full of marks but without a known shape are shown to a model.

Data is not code: JSON, YAML, XML, CSV, INI, tables and formulas pass, but the strings in a JSON document are looked at.
HTML, CSS, SQL and shell commands are code. The answer depends on the text alone; nothing is fetched.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.content.marked import Marked
    from demur.content.unfold import View

MAX_CHARACTERS = 262_144
"""Longest text that is judged; intake accepts no longer one."""
MAX_LAYERS = 3
_MAX_VIEWS = 4_000
_MAX_MARKS = 256
_BEFORE = ":;, \t\n"
_MAX_ENCODED = 4 * MAX_CHARACTERS


class How(StrEnum):
    """By what program text was recognised."""

    FENCE = "fence"
    SPAN = "span"
    SHAPE = "shape"
    MODEL = "model"


class CodeFinding(msgspec.Struct, frozen=True):
    """Program text at `start` to `end` (characters of the text as given), within `layers` of encoding.

    `language` is the likeliest one, `code` where the shape is common to several.
    """

    language: str
    start: int
    end: int
    how: How
    layers: tuple[str, ...] = ()


class TooLongError(ValueError):
    """The text is longer, or has more encoded in it, than what is judged. Then it is not known what it contains."""


def prepare() -> None:
    """Load the model and compile the patterns now; raises `ConfigurationError` where the extra is not installed."""
    try:
        from demur.content import marked, model, shapes, unfold  # noqa: F401, PLC0415  (optional: the extra `content`)
        from demur.content.marked import marked as read_marks  # noqa: PLC0415

        model.load()
        shapes.prepare()
        list(read_marks("```\n```"))
    except ImportError as error:
        hint = "pip install 'demur[content]'"
        raise ConfigurationError(
            f"the detector of code needs `{error.name}`, which is not installed", hint=hint
        ) from error


def contains_code(text: str) -> CodeFinding | None:
    """The first program text found, or `None`.

    Raises `ConfigurationError` where the extra `content` is not installed, and `TooLongError` where the text has more
    than 262,144 characters, more than three layers of encoding, or more encoded stretches than can be looked at.
    """
    if len(text) > MAX_CHARACTERS:
        raise TooLongError(f"expected at most {MAX_CHARACTERS} characters, found {len(text)}")
    prepare()
    from demur.content import unfold  # noqa: PLC0415  (optional: the extra `content`)

    views = deque(unfold.plain(text))
    seen = characters = 0
    while views:
        view = views.popleft()
        found = _judge(view)
        if found is not None:
            return found
        opened = _refolded(view)
        views.extend(opened)
        seen += len(opened)
        characters += sum(len(inner.text) for inner in opened)
        if seen > _MAX_VIEWS or characters > _MAX_ENCODED:
            raise TooLongError("expected less encoded text, found more than can be looked at")
    return None


def _refolded(view: View) -> list[View]:
    """What is encoded within a view, itself freed of disguises."""
    from demur.content import unfold  # noqa: PLC0415  (optional: the extra `content`)

    opened: list[View] = []
    for inner in unfold.inside(view):
        at = inner.place(0, 1)
        opened.extend(unfold.View(item.text, inner.layers, at) for item in unfold.plain(inner.text))
    if opened and len(view.layers) >= MAX_LAYERS:
        raise TooLongError(f"expected at most {MAX_LAYERS} layers of encoding, found more")
    return opened


def _judge(view: View) -> CodeFinding | None:
    from demur.content import model, unfold  # noqa: PLC0415  (optional: the extra `content`)

    if not view.text.strip() or unfold.json_strings(view.text) is not None:
        return None
    found = _in_marks(view)
    if found is not None:
        return found
    raw = view.text.encode("utf-8", "replace")
    hit = _shape(raw)
    if hit is not None:
        return _finding(view, raw, hit, How.SHAPE)
    hit = model.find(raw)
    return None if hit is None else _finding(view, raw, hit, How.MODEL)


def _in_marks(view: View) -> CodeFinding | None:
    """The first stretch that is marked as code and is code."""
    from demur.content.marked import marked  # noqa: PLC0415  (optional: the extra `content`)

    unnamed: list[Marked] = []
    for mark in marked(view.text):
        if mark.language and view.text[mark.start : mark.end].strip():
            return _marked(view, mark, mark.language)
        unnamed.append(mark)
    for mark in _with_shapes(view.text, unnamed):
        hit = _any_shape(view.text[mark.start : mark.end])
        if hit is not None:
            return _marked(view, mark, hit)
    return None


def _with_shapes(text: str, marks: list[Marked]) -> list[Marked]:
    """Those of many marks that are worth a look of their own, found in one go."""
    from demur.content import shapes  # noqa: PLC0415  (optional: the extra `content`)

    parts = [text[mark.start : mark.end].encode("utf-8", "replace") + b"\n\n" for mark in marks]
    ends = list(itertools.accumulate(len(part) for part in parts))
    places = {bisect.bisect_right(ends, hit.start) for hit in shapes.hits(b"".join(parts))}
    return [marks[place] for place in sorted(places)[:_MAX_MARKS]]


def _any_shape(text: str) -> str | None:
    from demur.content import shapes  # noqa: PLC0415  (optional: the extra `content`)

    hit = next(iter(shapes.hits(text.encode("utf-8", "replace"))), None)
    return None if hit is None else hit.language


def _marked(view: View, mark: Marked, language: str) -> CodeFinding:
    start, end = view.place(mark.start, mark.end)
    return CodeFinding(language, start, end, How.FENCE if mark.is_block else How.SPAN, view.layers)


def _shape(raw: bytes) -> tuple[int, int, str] | None:
    from demur.content import shapes  # noqa: PLC0415  (optional: the extra `content`)

    hit = shapes.strong(raw) or shapes.together(shapes.weak(raw))
    return None if hit is None else (hit.start, hit.end, hit.language)


def _finding(view: View, raw: bytes, hit: tuple[int, int, str], how: How) -> CodeFinding:
    start = len(raw[: hit[0]].decode("utf-8", "ignore"))
    end = start + len(raw[hit[0] : hit[1]].decode("utf-8", "ignore"))
    # What stands before a statement belongs to the shape, not to the statement.
    start += len(view.text[start:end]) - len(view.text[start:end].lstrip(_BEFORE))
    return CodeFinding(hit[2], *view.place(start, end), how, view.layers)
