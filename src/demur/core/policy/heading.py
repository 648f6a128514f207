"""What stands at the top of a document: version, namespace and what it owns, metadata, locale and zone.

- Every document names its namespace; several documents may share one.
- The fallback locale, the zone and the limit of repeats are the set's: documents that name one must agree.
- `owns` lists action patterns. The only root namespace owns everything by default; with several roots each must say
  what it owns. An inner namespace owns a part of what the outer one owns, all of it by default, and namespaces side
  by side own nothing in common.

Clauses: S2.4, S3.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.policy import patterns
from demur.core.policy.document import FORMAT, Namespace
from demur.core.policy.located import Scalar, Table, describe, shorten
from demur.core.policy.reading import Keys, quoted, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.located import Located, SourceDocument
    from demur.core.policy.reading import Report

KEYS = (
    "actions", "controls", "demur", "description", "desk", "facts", "locale", "namespace", "owner", "owns", "repeats",
    "rules", "sources", "tags", "usage", "zone",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}", re.ASCII)
"""A declared action or resource type."""
PATTERN = re.compile(r"[A-Za-z0-9_.:/*-]{1,128}", re.ASCII)

MAX_REPEATS = 1_000
"""The highest limit of repeats that a set may declare."""

_NAMESPACE = re.compile(r"[a-z0-9_.-]{1,64}(?:/[a-z0-9_.-]{1,64}){0,7}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Heading:
    """The top of one document; `keys` gives the rest."""

    file: str
    keys: Keys
    namespace: str
    owner: str
    tags: tuple[str, ...]
    controls: dict[str, tuple[str, ...]]


def read_heading(report: Report, document: SourceDocument, root: Located) -> Heading | None:
    """The heading, or nothing where the document is of another kind or version."""
    keys = Keys(report, document.file, root, "a policy document", known=KEYS, needs=("demur", "namespace"))
    if not keys.is_table:
        return None
    version = keys.values.get("demur")
    if version is not None and not (
        isinstance(version, Scalar) and version.value == FORMAT and version.value is not True
    ):
        keys.note("demur", f"expected format version `{FORMAT}` for `demur`, found {describe(version)}")
        return None
    namespace = keys.text("namespace")
    if namespace and not _NAMESPACE.fullmatch(namespace):
        found = f"found the text `{shorten(namespace)}`"
        keys.note(
            "namespace",
            f"expected a namespace such as `clinic` or `clinic/ward`, {found}",
            "use a-z, 0-9, `_`, `.`, `-`",
        )
        namespace = ""
    return Heading(document.file, keys, namespace, keys.text("owner"), tags(keys), controls(report, keys))


def tags(keys: Keys) -> tuple[str, ...]:
    """The tags of a document or rule."""
    return tuple(str(tag.value) for tag in keys.texts("tags"))


def controls(report: Report, keys: Keys) -> dict[str, tuple[str, ...]]:
    """References to controls: framework to clauses."""
    return {
        entry.key: tuple(
            str(text.value) for text in texts_of(report, keys.file, entry.value, f"`{entry.key}`", least=1)
        )
        for entry in keys.entries("controls")
    }


def read_locale(headings: list[Heading]) -> str:
    """The fallback locale of the set."""

    def check(keys: Keys, text: str) -> bool:
        if not _LOCALE.fullmatch(text):
            keys.note("locale", f"expected a language tag such as `en` or `pt-BR`, found the text `{shorten(text)}`")
            return False
        return True

    return _agreed(headings, "locale", check) or "en"


def read_zone(headings: list[Heading], is_zone: Callable[[str], bool]) -> str:
    """The declared time zone of the set, or nothing."""

    def check(keys: Keys, text: str) -> bool:
        return is_known_zone(keys, "zone", text, is_zone)

    return _agreed(headings, "zone", check)


def read_repeats(report: Report, headings: list[Heading]) -> int:
    """The repeats until quarantine that the set declares (S8.3), or 0."""
    agreed, where = 0, ""
    for heading in headings:
        if not heading.keys.has("repeats"):
            continue
        inner = Keys(
            report, heading.file, heading.keys.values["repeats"], "`repeats`", known=("limit",), needs=("limit",)
        )
        limit = inner.whole("limit", 0, least=1, most=MAX_REPEATS)
        if agreed and limit and limit != agreed:
            inner.note("limit", f"expected one `limit` for the set, found `{agreed}` in {where} and `{limit}` here")
        elif limit:
            agreed, where = limit, heading.file
    return agreed


def is_known_zone(keys: Keys, key: str, text: str, is_zone: Callable[[str], bool]) -> bool:
    """Whether the zone exists; notes the problem otherwise."""
    if is_zone(text):
        return True
    keys.note(
        key,
        f"expected a time zone of the tz database, found the text `{shorten(text)}`",
        "such as `Europe/Berlin`, `America/New_York` or `UTC`",
    )
    return False


def _agreed(headings: list[Heading], key: str, check: Callable[[Keys, str], bool]) -> str:
    agreed, where = "", ""
    for heading in headings:
        text = heading.keys.text(key)
        if not text or not check(heading.keys, text):
            continue
        if agreed and text != agreed:
            heading.keys.note(key, f"expected one `{key}` for the set, found `{agreed}` in {where} and `{text}` here")
        else:
            agreed, where = text, heading.file
    return agreed


class Namespaces:
    """Who owns which actions (S3.6)."""

    def __init__(self, report: Report, headings: list[Heading]) -> None:
        self.report = report
        self.owns: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, tuple[str, Located]] = {}
        self._stated: set[str] = set()
        for heading in headings:
            if heading.namespace:
                self._read(heading)
        for name in sorted(self.owns, key=lambda name: name.count("/")):
            self._default(name)
        self._check()

    def as_model(self) -> dict[str, Namespace]:
        """The namespaces by name, in name order."""
        return {name: Namespace(name=name, owns=self.owns[name]) for name in sorted(self.owns)}

    def is_owned(self, namespace: str, pattern: str) -> bool:
        """Whether the namespace owns every action that the pattern matches."""
        return any(patterns.includes(owned, pattern) for owned in self.owns.get(namespace, ()))

    def _read(self, heading: Heading) -> None:
        name, keys = heading.namespace, heading.keys
        self.owns.setdefault(name, ())
        self._places.setdefault(name, (heading.file, keys.values["namespace"]))
        if not keys.has("owns"):
            return
        found = keys.texts("owns", least=1)
        stated = tuple(sorted(str(text.value) for text in found if check_pattern(self.report, heading.file, text)))
        if name in self._stated and stated != self.owns[name]:
            first = self._places[name][0]
            keys.note(
                "owns", f"expected the same `owns` for `{name}` as in {first}, found other patterns", "state it once"
            )
            return
        self._stated.add(name)
        self.owns[name] = stated
        self._places[name] = (heading.file, keys.values["owns"])

    def _default(self, name: str) -> None:
        if name in self._stated:
            return
        outer = self._outer(name)
        roots = [other for other in self.owns if self._outer(other) is None]
        if outer is not None:
            self.owns[name] = self.owns[outer]
        elif len(roots) == 1:
            self.owns[name] = (patterns.ANY,)
        else:
            file, node = self._places[name]
            self.report.note(
                file,
                node,
                f"expected `owns` for the namespace `{name}`, found none",
                f"with several namespaces ({quoted(sorted(roots)[:5])}) each says which actions it owns",
                code="missing-key",
            )

    def _outer(self, name: str) -> str | None:
        while "/" in name:
            name = name.rpartition("/")[0]
            if name in self.owns:
                return name
        return None

    def _check(self) -> None:
        names = sorted(self.owns)
        for name in names:
            outer = self._outer(name)
            strange = [] if outer is None else [p for p in self.owns[name] if not self.is_owned(outer, p)]
            if strange:
                self._note(name, f"expected patterns within what `{outer}` owns, found {quoted(strange)}")
        for index, left in enumerate(names):
            for right in names[index + 1 :]:
                if self._outer(left) == self._outer(right):
                    self._check_apart(left, right)

    def _check_apart(self, left: str, right: str) -> None:
        shared = [
            (mine, theirs) for mine in self.owns[right] for theirs in self.owns[left] if patterns.overlap(mine, theirs)
        ]
        if shared:
            mine, theirs = shared[0]
            self._note(right, f"expected nothing that another namespace owns, found `{mine}`: `{left}` owns `{theirs}`")

    def _note(self, name: str, message: str) -> None:
        file, node = self._places[name]
        self.report.note(file, node, message)


def check_pattern(report: Report, file: str, text: Scalar, *, what: str = "an action or pattern") -> bool:
    """Whether a text may be a name or pattern; notes the problem otherwise."""
    if PATTERN.fullmatch(str(text.value)):
        return True
    message = (
        f"expected {what} of letters, digits and `_.:/-`, with `*` for any run, found `{shorten(str(text.value))}`"
    )
    report.note(file, text, message)
    return False


def is_test(document: SourceDocument) -> bool:
    """Whether the document is a test that lacks the suffix `.test.yaml`."""
    root = document.root
    return isinstance(root, Table) and any(entry.key == "demur-test" for entry in root.entries)
