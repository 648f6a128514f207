"""Magika, Google's model for kinds of content, asked only about stretches that look like neither prose nor one shape.

It recognises whole files and longer stretches well and single lines badly, so it never decides alone: a stretch must
have the marks of program text (brackets, operators, statement ends) before the model is asked about it.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from magika import Magika

MAX_WINDOWS = 24
"""Stretches of one text that the model is asked about, those with the most marks; about 5 ms each."""

_WINDOW = 1_500
_MIN_BYTES = 24
_MIN_DENSITY = 0.05
_MIN_SCORE = 0.9
_MARKS = re.compile(rb"[{}()\[\];=<>$|&#\\+*_@!]")
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_LANGUAGES = frozenset(
    {
        *("asm", "asp", "batch", "c", "clojure", "cobol", "coffeescript", "cpp", "cs", "css", "dart"),
        *("dockerfile", "elixir", "erlang", "fortran", "go", "groovy", "haskell", "hcl", "html", "java"),
        *("javascript", "jinja", "julia", "kotlin", "lisp", "lua", "makefile", "matlab", "objectivec", "ocaml"),
        *("pascal", "perl", "php", "powershell", "prolog", "python", "r", "ruby", "rust", "scala", "scss"),
        *("shell", "solidity", "sql", "swift", "tcl", "twig", "typescript", "vba", "verilog", "vhdl", "vue"),
        *("zig"),
    }
)

_lock = threading.Lock()
_loaded: list[Magika] = []


def load() -> Magika:
    """The model, loaded once, about half a second; raises `ImportError` where it is not installed."""
    with _lock:
        if not _loaded:
            from magika import Magika  # noqa: PLC0415  (optional: the extra `content`, and slow to import)

            _loaded.append(Magika())
        return _loaded[0]


def find(text: bytes) -> tuple[int, int, str] | None:
    """The first stretch that the model takes for program text: start, end and language."""
    marked = [(-_density(text[start:end]), start, end) for start, end in _windows(text)]
    windows = [(start, end) for share, start, end in sorted(marked)[:MAX_WINDOWS] if -share >= _MIN_DENSITY]
    for start, end in sorted(windows):
        answer = load().identify_bytes(text[start:end])
        label = str(answer.output.label)
        if label in _LANGUAGES and answer.score >= _MIN_SCORE:
            return start, end, label
    return None


def _windows(text: bytes) -> Iterator[tuple[int, int]]:
    """Stretches of whole lines of about the size that the model sees."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _WINDOW)
        if end < len(text):
            end = max(text.rfind(b"\n", start, end) + 1, 0) or end
        yield start, end
        start = end


def _density(stretch: bytes) -> float:
    """The share of marks, base64 and its padding left aside; none in a stretch too short to judge."""
    bare = _ENCODED.sub(b"", stretch)
    return len(_MARKS.findall(bare)) / len(bare) if len(bare) >= _MIN_BYTES else 0.0
