"""Facts derived from the text of the request itself: sources of kind `content`.

    text: {kind: content}
    action.contains_code: {type: bool, source: text, detect: {what: code, in: action.text}}

No text: the fact is absent. A text that cannot be judged: unknown, never "no code".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.content import code
from demur.core import resolution
from demur.core.schema import Fact, Kind, Source
from demur.core.terms import Missing, Request, State
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.schema import Detect

KIND = "content"
DETECTORS = {"code": (Kind.BOOL, lambda text: code.contains_code(text) is not None)}
"""What can be looked for: the type of the fact, and the detector."""


class ContentSource:
    """`ports.FactSource` over the detectors. A long text takes a while, so it runs within a timeout like any other."""

    is_local = False

    def __init__(self, wanted: Mapping[str, Detect]) -> None:
        self._wanted = wanted

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        return {path: self._look(request, self._wanted[path]) for path in paths if path in self._wanted}

    def _look(self, request: Request, detect: Detect) -> State:
        text = resolution.stated(request, detect.of)
        if isinstance(text, str):
            return DETECTORS[detect.what][1](text)
        return Missing.ABSENT if text is Missing.ABSENT else Missing.UNKNOWN


class ContentOpener:
    """Opens sources of kind `content`, with the detectors ready to answer.

    Raises `ConfigurationError` where a fact names no detector, or the libraries of the detector are not installed.
    """

    def __call__(self, source: Source, facts: Sequence[Fact]) -> ContentSource:
        wanted = {fact.path: _checked(source.name, fact) for fact in facts}
        if any(detect.what == "code" for detect in wanted.values()):
            code.prepare()
        return ContentSource(wanted)


def _checked(name: str, fact: Fact) -> Detect:
    if fact.detect is None or fact.detect.what not in DETECTORS:
        known = ", ".join(sorted(DETECTORS))
        found = f"`{fact.detect.what}`" if fact.detect else "nothing"
        hint = f"write `detect: {{what: code, in: action.text}}` at `{fact.path}`"
        raise ConfigurationError(f"`{fact.path}` of source `{name}`: expected one of {known}, found {found}", hint=hint)
    kind = DETECTORS[fact.detect.what][0]
    if fact.type.kind is not kind:
        raise ConfigurationError(f"`{fact.path}`: expected the type {kind}, found {fact.type}")
    return fact.detect
