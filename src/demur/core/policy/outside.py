"""The settings of sources outside: databases, services and tokens.

- Places are named, never written: a policy says `connection: crm`, and whoever runs the gate where that is.
- What is sent of a request is listed under `parameters`, and used: a name that stands in no place is a mistake.

Clauses: S2.2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from demur.core.policy.located import Scalar, describe, shorten
from demur.core.policy.reading import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.policy.reading import Keys
    from demur.core.terms import Value

MAX_QUERY = 10_000
"""Characters of a query or a path."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_BEGINS = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE | re.ASCII)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_BOUND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""As SQLAlchemy finds them, within quotes too; `\\:` is a colon."""
_PLACE = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(
    r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}|\{[a-z0-9_]+\})*)+"
    r"(?:\?(?:[A-Za-z0-9._~!$'()*+,;:@/?=&-]|%[0-9A-Fa-f]{2}|\{[a-z0-9_]+\})*)?",
    re.ASCII,
)
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


def read_sql(keys: Keys) -> dict[str, Value]:
    """`connection`, `query` and `parameters` of a source of kind `sql`."""
    query = keys.text("query")[: MAX_QUERY + 1]
    if not query or not keys.has("connection"):
        _lacks(keys, "connection", "query")
    bare = _QUOTED.sub("''", query)
    if query and (not _BEGINS.match(bare) or ";" in bare.rstrip().rstrip(";") or len(query) > MAX_QUERY):
        keys.note("query", "expected one `SELECT` for `query`, found something else", "it reads one row, or none")
    found = _parameters(keys, set(_BOUND.findall(query)), "query", ":")
    settings: dict[str, Value] = {"connection": _place(keys, "connection"), "query": query}
    return settings | found


def read_http(keys: Keys) -> dict[str, Value]:
    """`service`, `path`, `parameters`, `pointers` and `absent_on_404` of a source of kind `http`."""
    path = keys.text("path")[: MAX_QUERY + 1]
    if not path or not keys.has("service"):
        _lacks(keys, "service", "path")
    steps = path.partition("?")[0].split("/")
    is_path = _PATH.fullmatch(path) and len(path) <= MAX_QUERY and not {".", ".."} & set(steps)
    if path and (not is_path or path.startswith("//")):
        hint = "write it as `/people/{id}?fields=grade`; other characters are percent-encoded"
        keys.note("path", f"expected a path of a URL for `path`, found `{shorten(path)}`", hint)
    settings: dict[str, Value] = {"service": _place(keys, "service"), "path": path}
    settings |= _parameters(keys, set(_PLACE.findall(path)), "path", "{")
    if keys.flag("absent_on_404"):
        settings["absent_on_404"] = True
    return settings | read_pointers(keys)


def read_pointers(keys: Keys) -> dict[str, Value]:
    """Where in a document each fact stands, by path; a fact without a pointer is found by its name."""
    found: dict[Value, Value] = {}
    for name, text, node in _texts(keys, "pointers"):
        if _POINTER.fullmatch(text):
            found[name] = text
        else:
            message = (
                f"expected a JSON pointer such as `/employment/grade` for `{shorten(name)}`, found `{shorten(text)}`"
            )
            keys.report.note(keys.file, node, message)
    return {"pointers": found} if found else {}


def _parameters(keys: Keys, used: set[str], key: str, mark: str) -> dict[str, Value]:
    """The parts of the request that are sent, and that tell one question from another."""
    listed = {name: text for name, text, _ in _texts(keys, "parameters")}
    if missing := sorted(used - set(listed)):
        keys.note(key, f"expected `parameters` to say what {quoted(missing)} is, found nothing")
    for name, _, node in _texts(keys, "parameters", is_quiet=True):
        if name not in used:
            keys.report.note(keys.file, node, f"expected `{mark}{shorten(name)}` in `{key}`, found no such place")
    if not listed:
        return {"key": []}
    sent: dict[Value, Value] = {name: listed[name] for name in sorted(listed)}
    return {"parameters": sent, "key": sorted(set(listed.values()))}


def _texts(keys: Keys, key: str, *, is_quiet: bool = False) -> Iterable[tuple[str, str, Scalar]]:
    for entry in keys.entries(key):
        node = entry.value
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
            yield entry.key, node.value, node
        elif not is_quiet:
            message = f"expected a text for `{shorten(entry.key)}` in `{key}`, found {describe(node)}"
            keys.report.note(keys.file, node, message)


def _place(keys: Keys, key: str) -> str:
    name = keys.text(key)
    if name and not _NAME.fullmatch(name):
        hint = "where it is stands in the environment of the gate, not in a policy"
        keys.note(key, f"expected a name of a-z, 0-9 and `_` for `{key}`, found `{shorten(name)}`", hint)
    return name


def _lacks(keys: Keys, *needed: str) -> None:
    missing = [key for key in needed if not keys.has(key)]
    if missing and keys.is_table:
        message = f"expected {quoted(missing)} in a source of this kind, found no such key"
        keys.report.note(keys.file, keys.node, message, code="missing-key")
