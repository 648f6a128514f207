"""Text as given -> text as a reader or an interpreter would see it: invisible characters gone, encodings undone.

- Compatibility forms (full-width, mathematical letters) become plain ones (Unicode NFKC), typographic quotes straight
  ones, and every kind of line end a newline. Invisible characters are left out; since they may stand for a space, the
  text is also looked at with a space in their place.
- base64 (standard and URL-safe, also over several lines), hexadecimal, percent-encoding, HTML entities and the strings
  of a JSON document are opened, one layer at a time. What is inside is a view of its own, opened again.
- Every view knows which part of the given text it came from.

Letters of other scripts that look like Latin ones are not replaced: that would turn names into other names.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import unicodedata
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE64_LINE = re.compile(r"^[A-Za-z0-9+/_-]{20,}={0,2}$", re.MULTILINE)
_BASE64_END = re.compile(r"\n[A-Za-z0-9+/_-]{1,19}={0,2}$", re.MULTILINE)
_HEX = re.compile(r"(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:]?){8,}")
_HEX_MARKS = re.compile(r"\\x|0x|[ ,:]")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&(?:lt|gt|quot|amp|apos|#\d{1,6}|#x[0-9A-Fa-f]{1,5});")
_NEWLINES = frozenset("\r\x0b\x0c\x85\u2028\u2029")
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"'}
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_MIN_READABLE = 0.95


class View:
    """A text to look at. `layers` names the encodings around it, the outermost first."""

    __slots__ = ("_outer", "layers", "text")

    def __init__(
        self, text: str, layers: tuple[str, ...] = (), outer: Sequence[int] | tuple[int, int] | None = None
    ) -> None:
        self.text = text
        self.layers = layers
        self._outer = outer

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch of this view stands in the text as given."""
        if self._outer is None:
            return start, end
        if isinstance(self._outer, tuple):
            return self._outer
        return self._outer[start], self._outer[max(start, end - 1)] + 1


def plain(text: str) -> list[View]:
    """The text with compatibility forms replaced and invisible characters left out; a second view has spaces there."""
    if _PLAIN.fullmatch(text):
        return [View(text)]
    kept, offsets, hidden = _fold(text, "")
    views = [View(kept, (), offsets)]
    if hidden:
        spaced, offsets, _ = _fold(text, " ")
        views.append(View(spaced, ("invisible characters",), offsets))
    return views


def inside(view: View) -> Iterator[View]:
    """What is encoded within a view, one layer deeper."""
    strings = json_strings(view.text)
    if strings is not None:
        whole = view.place(0, len(view.text))
        yield View("\n\n".join(strings), (*view.layers, "json"), whole)
        return
    if len(_PERCENT.findall(view.text)) >= 3:
        yield View(unquote(view.text, errors="replace"), (*view.layers, "percent"), view.place(0, len(view.text)))
    if _ENTITY.search(view.text):
        yield View(html.unescape(view.text), (*view.layers, "entities"), view.place(0, len(view.text)))
    for start, end, inner, layer in _decoded(view.text):
        yield View(inner, (*view.layers, layer), view.place(start, end))


def json_strings(text: str) -> list[str] | None:
    """The strings of a JSON document, keys included; `None` where the text is not one."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found: list[str] = []
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return found


def _fold(text: str, blank: str) -> tuple[str, array[int], bool]:
    parts: list[str] = []
    offsets = array("l")
    hidden = False
    for index, character in enumerate(text):
        shown = character if "\x20" <= character <= "\x7e" else _shown(character)
        if not shown:
            hidden = True
            shown = blank
        if shown:
            parts.append(shown)
            offsets.extend([index] * len(shown))
    offsets.append(max(0, len(text) - 1))
    return "".join(parts), offsets, hidden


@lru_cache(maxsize=8_192)
def _shown(character: str) -> str:
    """What a reader sees of a character; empty where that is nothing."""
    if character in "\t\n":
        return character
    if character in _NEWLINES:
        return "\n"
    if character in _BLANK or unicodedata.category(character) in {"Cf", "Cc"} or 0xFE00 <= ord(character) <= 0xFE0F:
        return ""
    return _QUOTES.get(character) or unicodedata.normalize("NFKC", character)


def _decoded(text: str) -> Iterator[tuple[int, int, str, str]]:
    lines = _over_lines(text)
    tokens = [match.span() for match in _BASE64.finditer(text)]
    for start, end in lines + tokens:
        for inner in _from_base64("".join(text[start:end].split())):
            yield start, end, inner, "base64"
    for start, end in [match.span() for match in _HEX.finditer(text)]:
        digits = _HEX_MARKS.sub("", text[start:end])
        said = _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))
        if said is not None:
            yield start, end, said, "hex"


def _over_lines(text: str) -> list[tuple[int, int]]:
    """Stretches of lines that base64 may have been broken into, each also with the shorter line that ends it."""
    stretches: list[tuple[int, int]] = []
    for match in _BASE64_LINE.finditer(text):
        if stretches and stretches[-1][1] + 1 == match.start():
            stretches[-1] = stretches[-1][0], match.end()
        else:
            stretches.append(match.span())
    ended = [(start, last.end()) for start, end in stretches if (last := _BASE64_END.match(text, end))]
    return stretches + ended


def _from_base64(token: str) -> Iterator[str]:
    """What the token says; also when up to three characters before it belong to something else."""
    body = token.rstrip("=").translate(str.maketrans("-_", "+/"))
    for skip in range(4):
        part = body[skip:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            raw = base64.b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            continue
        text = _readable(raw)
        if text is not None:
            yield text


def _readable(raw: bytes) -> str | None:
    """Bytes as text, UTF-8 or UTF-16; `None` where they are not text."""
    if len(raw) < 6:
        return None
    is_wide = raw[1::2].count(0) > len(raw) // 3
    text = raw[: len(raw) // 2 * 2].decode("utf-16-le", "replace") if is_wide else raw.decode("utf-8", "replace")
    shown = sum((character.isprintable() or character in "\t\r\n") and character != "\ufffd" for character in text)
    return text if shown >= _MIN_READABLE * len(text) else None
