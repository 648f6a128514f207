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

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.content.unfold import View

MAX_CHARACTERS = 262_144
"""Longest text that is judged; intake accepts no longer one."""
MAX_LAYERS = 3
_MAX_VIEWS = 256
_MAX_LOOKED_AT = 3 * MAX_CHARACTERS


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
    """The text is longer than what is judged."""


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

    Raises `ConfigurationError` where the extra `content` is not installed, and `TooLongError` over 262,144 characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise TooLongError(f"expected at most {MAX_CHARACTERS} characters, found {len(text)}")
    prepare()
    from demur.content import unfold  # noqa: PLC0415  (optional: the extra `content`)

    views, looked_at, count = unfold.plain(text), 0, 0
    while views and count < _MAX_VIEWS and looked_at < _MAX_LOOKED_AT:
        view = views.pop(0)
        looked_at, count = looked_at + len(view.text), count + 1
        found = _judge(view)
        if found is not None:
            return found
        if len(view.layers) < MAX_LAYERS:
            views.extend(_refolded(view))
    return None


def _refolded(view: View) -> list[View]:
    """What is encoded within a view, itself freed of disguises."""
    from demur.content import unfold  # noqa: PLC0415  (optional: the extra `content`)

    opened: list[View] = []
    for inner in unfold.inside(view):
        at = inner.place(0, 1)
        opened.extend(unfold.View(item.text, inner.layers, at) for item in unfold.plain(inner.text))
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
    from demur.content import shapes  # noqa: PLC0415  (optional: the extra `content`)
    from demur.content.marked import marked  # noqa: PLC0415

    for mark in marked(view.text):
        content = view.text[mark.start : mark.end]
        how = How.FENCE if mark.is_block else How.SPAN
        language = mark.language if content.strip() else ""
        if not language:
            raw = content.encode("utf-8", "replace")
            hit = shapes.strong(raw) or next(iter(shapes.weak(raw)), None)
            language = hit.language if hit is not None else ""
        if language:
            start, end = view.place(mark.start, mark.end)
            return CodeFinding(language, start, end, how, view.layers)
    return None


def _shape(raw: bytes) -> tuple[int, int, str] | None:
    from demur.content import shapes  # noqa: PLC0415  (optional: the extra `content`)

    hit = shapes.strong(raw) or shapes.together(shapes.weak(raw))
    return None if hit is None else (hit.start, hit.end, hit.language)


def _finding(view: View, raw: bytes, hit: tuple[int, int, str], how: How) -> CodeFinding:
    start = len(raw[: hit[0]].decode("utf-8", "ignore"))
    end = start + len(raw[hit[0] : hit[1]].decode("utf-8", "ignore"))
    return CodeFinding(hit[2], *view.place(start, end), how, view.layers)
