"""Text of a condition -> tokens, one regular expression, linear in the text.

- At most 64 kB of UTF-8; no NUL and no lone surrogate, neither as they stand nor as an escape that yields a surrogate.
- Names are ASCII, so that no letter of another script can pose as one.
- Bytes and unsigned integers are outside the language and refused by name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from demur.errors import ConditionError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 65_536
MAX_INT64 = 2**63 - 1
_INT_DIGITS = 20

END = "end"
"""The kind of the last token. Operators and words are their own kind."""

Token = tuple[str, str, int]
"""Kind (`name`, `quoted`, `int`, `double`, `string`, `end`, or the operator or word itself), text, offset."""

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\n\f\r]+|//[^\n]*)+)
    |(?P<string>[rR]?(?:\"\"\"|'''|["']))
    |(?P<unfit>[bB][rR]?["']|[rR][bB]["']|(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<op>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    |(?P<quoted>`[A-Za-z0-9_./\ -]+`)""",
    re.VERBOSE | re.ASCII,
)
_BODY = {
    "'": re.compile(r"[^'\\\n\r]*(?:\\.[^'\\\n\r]*)*(?P<end>')"),
    '"': re.compile(r'[^"\\\n\r]*(?:\\.[^"\\\n\r]*)*(?P<end>")'),
    "'''": re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*(?P<end>''')", re.DOTALL),
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?P<end>""")', re.DOTALL),
}
_RAW_BODY = {
    "'": re.compile(r"[^'\n\r]*(?P<end>')"),
    '"': re.compile(r'[^"\n\r]*(?P<end>")'),
    "'''": re.compile(r"[^']*(?:'(?!'')[^']*)*(?P<end>''')"),
    '"""': re.compile(r'[^"]*(?:"(?!"")[^"]*)*(?P<end>""")'),
}
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])|[xX](?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<bad>.?))",
    re.DOTALL,
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WORDS = frozenset({"in", "true", "false", "null"})
_HINTS = {
    "&": "write `&&`",
    "|": "write `||`",
    "=": "write `==` to compare; a condition assigns nothing",
    "`": "a quoted name holds letters, digits, `_`, `.`, `-`, `/` and spaces",
    ";": "a condition is one expression",
    "'": "a text on one line ends with the quote it began with",
    '"': "a text on one line ends with the quote it began with",
}


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1; the column counts code points."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def refuse(
    text: str, offset: int, message: str, *, hint: str = "", expected: str = "", found: str = ""
) -> ConditionError:
    """The error to raise for the place at `offset`."""
    line, column = place(text, offset)
    return ConditionError(message, line=line, column=column, expected=expected, found=found, hint=hint)


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, the last one of kind `end`; raises `ConditionError`."""
    _check_text(text)
    tokens: list[Token] = []
    offset, length = 0, len(text)
    match_token = _TOKEN.match
    while offset < length:
        match = match_token(text, offset)
        if match is None:
            raise _unexpected(text, offset)
        kind = match.lastgroup or ""
        end = match.end()
        if kind == "string":
            value, end = _string(text, offset, match.group())
            tokens.append(("string", value, offset))
        elif kind != "space":
            tokens.append(_token(text, kind, match.group(), offset))
        offset = end
    tokens.append((END, "", length))
    return tokens


def _token(text: str, kind: str, word: str, offset: int) -> Token:
    if kind == "op":
        return (word, word, offset)
    if kind == "name":
        return (word if word in _WORDS else "name", word, offset)
    if kind == "quoted":
        return (kind, word[1:-1], offset)
    if kind == "unfit":
        what = "unsigned integers" if word[0].isdigit() else "bytes"
        raise refuse(text, offset, f"{what} are outside the language: `{_short(word)}`", hint="leave the letter out")
    return (kind, word, offset)


def read_int(text: str, word: str, offset: int, *, negative: bool) -> int:
    """The value of an integer literal; raises `ConditionError` beyond 64 bits."""
    is_hex = word.startswith("0x")
    digits = word[2:] if is_hex else word
    value = int(digits, 16 if is_hex else 10) if len(digits.lstrip("0")) <= _INT_DIGITS else MAX_INT64 + 2
    value = -value if negative else value
    if not -MAX_INT64 - 1 <= value <= MAX_INT64:
        message = f"the integer `{'-' if negative else ''}{_short(word)}` does not fit into 64 bits"
        raise refuse(text, offset, message, expected="-9223372036854775808 to 9223372036854775807", found=_short(word))
    return value


def read_double(text: str, word: str, offset: int) -> float:
    """The value of a floating point literal; raises `ConditionError` where it would be infinite."""
    value = float(word)
    if value == float("inf"):
        raise refuse(text, offset, f"the number `{_short(word)}` is too large for a double")
    return value


def _check_text(text: str) -> None:
    if len(text) > MAX_BYTES:
        message = f"a condition has at most {MAX_BYTES} bytes, found {len(text)} characters"
        raise ConditionError(message, expected=f"at most {MAX_BYTES} bytes", found=f"{len(text)} characters")
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise refuse(text, error.start, "the text holds a lone surrogate, which is no character") from error
    if size > MAX_BYTES:
        message = f"a condition has at most {MAX_BYTES} bytes, found {size}"
        raise ConditionError(message, expected=f"at most {MAX_BYTES} bytes", found=f"{size} bytes")
    nul = text.find("\0")
    if nul >= 0:
        raise refuse(text, nul, "the text holds a NUL character", hint=r"write it as `\u0000` within quotes")


def _string(text: str, offset: int, opening: str) -> tuple[str, int]:
    """The value of the string that begins at `offset`, and where it ends."""
    is_raw = opening[0] in "rR"
    quote = opening[1:] if is_raw else opening
    begin = offset + len(opening)
    match = (_RAW_BODY if is_raw else _BODY)[quote].match(text, begin)
    if match is None:
        raise refuse(text, offset, f"the text that begins with {quote} does not end", hint=_HINTS.get(quote, ""))
    body = text[begin : match.start("end")]
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    if is_raw or "\\" not in body:
        return body, match.end()
    return "".join(_unescape(text, body, begin)), match.end()


def _unescape(text: str, body: str, begin: int) -> Iterator[str]:
    end = 0
    for match in _ESCAPE.finditer(body):
        yield body[end : match.start()]
        end = match.end()
        kind = match.lastgroup or ""
        if kind == "plain":
            yield _PLAIN.get(match["plain"], match["plain"])
            continue
        code = -1 if kind == "bad" else int(match[kind], 8 if kind == "octal" else 16)
        if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            shown = _short(match.group())
            hint = "in a regular expression write r'...' or double the backslash" if kind == "bad" else ""
            raise refuse(text, begin + match.start(), f"`{shown}` is not an escape of a character", hint=hint)
        yield chr(code)
    yield body[end:]


def _unexpected(text: str, offset: int) -> ConditionError:
    char = text[offset]
    hint = _HINTS.get(char, "")
    if not char.isascii():
        hint = f"this is {unicodedata.name(char, 'a character without a name')}; names and operators are ASCII"
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return refuse(text, offset, f"unexpected character `{shown}`", found=shown, hint=hint)


def _short(word: str) -> str:
    return word if len(word) <= 40 else word[:37] + "..."
