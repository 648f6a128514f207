"""What of a request goes to a source outside, and how whoever runs the gate names where such a source is.

A policy names a place (`crm`); its address and its credential stand in the environment. So a policy cannot send what it
reads, or a credential, to a place of its own choice.

Clauses: S2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.adapters.breaker import UnfitError
from demur.core import resolution
from demur.core.terms import Missing

if TYPE_CHECKING:
    from demur.core.schema import Source
    from demur.core.terms import Request, State


def variable(prefix: str, name: str) -> str:
    """The environment variable for what policies call `name`."""
    return prefix + "".join(letter if letter.isalnum() else "_" for letter in name).upper()


def table(source: Source, setting: str) -> dict[str, str]:
    """A setting that names texts by texts, such as the parts of the request that are sent."""
    found = source.settings.get(setting, {})
    return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}


def stated(request: Request, path: str) -> str | int | bool:
    """A part of the request as it is sent; raises `UnfitError` where it has none that can be."""
    value = resolution.stated(request, path)
    if isinstance(value, (str, int)):
        return value
    raise UnfitError(f"expected a string, int or bool as `{path}` of the request, found none")


def at(body: object, pointer: str) -> State:
    """The value that a JSON pointer names; absent where there is none."""
    value: object = body
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, (dict, list)) or value is None:
            return Missing.ABSENT
        else:
            return Missing.UNKNOWN
    return Missing.ABSENT if value is None else value  # type: ignore[return-value]  # conformed by the caller
