"""All documents' declarations together: sources, facts, actions and usage counters, checked against each other.

Each name is declared once in the set; what a declaration refers to (a source, a fact, an action) must exist.

Clauses: S2.2, S3.6, S4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from demur.core.policy import outside
from demur.core.policy.facts import read_argument, read_fact
from demur.core.policy.heading import NAME, PATTERN, check_pattern
from demur.core.policy.located import Entry, Items, Scalar, Table, describe, plain, shorten
from demur.core.policy.reading import TOKEN, Keys
from demur.core.schema import BUILT_IN, REQUEST, Action, Fact, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.policy.heading import Heading, Namespaces
    from demur.core.policy.located import Located
    from demur.core.policy.reading import Report
    from demur.core.terms import Value

T = TypeVar("T")

MAX_TIMEOUT_MS = 60_000
MAX_TTL_MS = 7 * 86_400_000
MAX_TABLE_ROWS = 100_000


class SourceKind(StrEnum):
    """The kinds of sources that ship with Demur."""

    STATIC = "static"
    PYTHON = "python"
    CONTENT = "content"
    SQL = "sql"
    HTTP = "http"
    CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A declaration and where its key stands."""

    item: T
    file: str
    at: Entry


@dataclass(slots=True)
class Declarations:
    """What all documents declare, by name. Grows while documents are read."""

    report: Report
    sources: dict[str, Placed[Source]] = field(default_factory=dict)
    facts: dict[str, Placed[Fact]] = field(default_factory=dict)
    actions: dict[str, Placed[Action]] = field(default_factory=dict)
    detects: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Path of a detected fact: what to look for, in which fact."""
    counters: list[tuple[Heading, Entry]] = field(default_factory=list)

    def read(self, heading: Heading, namespaces: Namespaces) -> None:
        """Take in one document."""
        for entry in heading.keys.entries("sources"):
            source = _source(self.report, heading.file, entry)
            if source is not None:
                self._add(self.sources, entry, heading.file, source, "the source")
        for entry in heading.keys.entries("facts"):
            found = read_fact(self.report, heading.file, entry)
            if found is not None and self._add(self.facts, entry, heading.file, found[0], "the fact") and found[1]:
                self.detects[entry.key] = found[1]
        for entry in heading.keys.entries("actions"):
            action = _action(self.report, heading, entry)
            if action is not None and self._add(self.actions, entry, heading.file, action, "the action"):
                self._check_owner(heading, entry, namespaces)
        self.counters.extend((heading, entry) for entry in heading.keys.entries("usage"))

    def check(self) -> None:
        """Check what refers to something that another document may declare."""
        for placed in self.facts.values():
            self._check_source(placed)
        self._check_apart()
        for placed_action in self.actions.values():
            self._check_same(placed_action)
        for placed_source in self.sources.values():
            self._check_key(placed_source)
        for path, (_, target) in self.detects.items():
            self._check_detect(self.facts[path], target)

    def arguments(self, path: str) -> list[Fact]:
        """The arguments of this path, one for each action that declares it."""
        return [
            argument for placed in self.actions.values() for argument in placed.item.arguments if argument.path == path
        ]

    def kinds(self, path: str) -> set[Kind]:
        """The kinds that a path may have; none where nobody declares it."""
        if path in BUILT_IN:
            return {Kind(BUILT_IN[path][0])}
        if path in self.facts:
            return {self.facts[path].item.type.kind}
        return {argument.type.kind for argument in self.arguments(path)}

    def paths(self) -> list[str]:
        """Every path that a document may refer to, usage counters left out."""
        arguments = {argument.path for placed in self.actions.values() for argument in placed.item.arguments}
        return sorted({*BUILT_IN, *self.facts, *arguments})

    def _add(self, known: dict[str, Placed[T]], entry: Entry, file: str, item: T, what: str) -> bool:
        before = known.get(entry.key)
        if before is None:
            known[entry.key] = Placed(item, file, entry)
            return True
        message = f"expected {what} `{shorten(entry.key)}` to be declared once, found it again"
        self.report.note(file, entry, message, f"it is declared in {before.file}, line {before.at.line}")
        return False

    def _check_owner(self, heading: Heading, entry: Entry, namespaces: Namespaces) -> None:
        owned = namespaces.owns.get(heading.namespace, ())
        if owned and not namespaces.is_owned(heading.namespace, entry.key):
            message = f"expected an action that `{heading.namespace}` owns, found `{shorten(entry.key)}`"
            self.report.note(heading.file, entry, message, "it owns " + ", ".join(f"`{name}`" for name in owned[:5]))

    def _check_source(self, placed: Placed[Fact]) -> None:
        fact, path = placed.item, placed.item.path
        if fact.source == REQUEST:
            if path in self.detects:
                self.report.note(
                    placed.file, placed.at, f"expected a source of kind `content` for `{path}`, found none"
                )
            return
        source = self.sources.get(fact.source)
        if source is None:
            node = _value_of(placed.at, "source")
            message = f"expected a declared source for `{path}`, found `{shorten(fact.source)}`"
            self.report.note(placed.file, node, message, self.report.guess(fact.source, [*self.sources, REQUEST]))
            return
        is_content = source.item.kind == SourceKind.CONTENT
        if is_content and path not in self.detects:
            hint = "write `detect: {what: code, in: action.text}`"
            self.report.note(
                placed.file, placed.at, f"expected `detect` for `{path}`, found none", hint, code="missing-key"
            )
        elif not is_content and path in self.detects:
            message = f"expected a source of kind `content` beside `detect`, found kind `{source.item.kind}`"
            self.report.note(placed.file, _value_of(placed.at, "detect"), message)

    def _check_apart(self) -> None:
        """No path may begin with another one, or `a.b` could be read in two ways."""
        known = set(self.paths())
        for path, placed in self.facts.items():
            names = path.split(".")
            shorter = [".".join(names[:count]) for count in range(2, len(names))]
            clash = next((other for other in shorter if other in known), "")
            if clash or self.arguments(path):
                other = clash or f"an argument `{path}`"
                message = f"expected paths that do not begin with one another, found `{path}` beside `{clash}`"
                self.report.note(
                    placed.file,
                    placed.at,
                    message if clash else f"expected one declaration of `{path}`, found {other} too",
                )

    def _check_same(self, placed: Placed[Action]) -> None:
        """Each of several equal actions names the one that names none, so that there is one answer (S8.2)."""
        name, same = placed.item.name, placed.item.same_as
        if not same:
            return
        other, node = self.actions.get(same), _value_of(placed.at, "same_as")
        if other is None:
            message = f"expected a declared action for `same_as`, found `{shorten(same)}`"
            self.report.note(placed.file, node, message, self.report.guess(same, set(self.actions) - {name}))
        elif other.item.same_as:
            message = f"expected an action without `same_as` of its own, found `{shorten(same)}`"
            hint = "write another action" if same == name else f"write `{shorten(other.item.same_as)}`"
            self.report.note(placed.file, node, message, hint)

    def _check_key(self, placed: Placed[Source]) -> None:
        key = placed.item.settings.get("key")
        node = _value_of(placed.at, "key")
        if isinstance(key, str):
            self._check_key_path(placed, key, node)
        elif isinstance(key, list) and isinstance(node, Items):
            for item in node.items:
                self._check_key_path(placed, str(plain(item)), item)
        elif isinstance(key, list):
            sent = _value_of(placed.at, "parameters")
            for entry in sent.entries if isinstance(sent, Table) else ():
                if isinstance(entry.value, Scalar) and isinstance(entry.value.value, str):
                    self._check_key_path(placed, entry.value.value, entry.value)

    def _check_key_path(self, placed: Placed[Source], key: str, node: Located) -> None:
        kinds = self.kinds(key)
        if not kinds:
            message = f"expected a declared fact for `key`, found `{shorten(key)}`"
            self.report.note(placed.file, node, message, self.report.guess(key, self.paths()))
        elif kinds - _KEYABLE:
            found = ", ".join(sorted(kind.value for kind in kinds))
            message = f"expected a string, int or bool for `key`, found `{key}` of type {found}"
            self.report.note(placed.file, node, message)
        elif key in self.facts and self.facts[key].item.source != REQUEST:
            message = f"expected what the request says for `key`, found `{key}` from a source"
            self.report.note(placed.file, node, message)

    def _check_detect(self, placed: Placed[Fact], target: str) -> None:
        kinds = self.kinds(target)
        if kinds == {Kind.STRING}:
            return
        node = _value_of(placed.at, "detect")
        node = next((e.value for e in node.entries if e.key == "in"), node) if isinstance(node, Table) else node
        if kinds:
            found = f"found `{target}` of type {', '.join(sorted(kind.value for kind in kinds))}"
            self.report.note(placed.file, node, f"expected a string to look into, {found}")
        else:
            message = f"expected a declared fact to look into, found `{shorten(target)}`"
            self.report.note(placed.file, node, message, self.report.guess(target, self.paths()))


_ONLY_FOR = {
    "absent_on_404": (SourceKind.HTTP,),
    "connection": (SourceKind.SQL,),
    "file": (SourceKind.STATIC,),
    "key": (SourceKind.STATIC, SourceKind.PYTHON),
    "parameters": (SourceKind.SQL, SourceKind.HTTP),
    "path": (SourceKind.HTTP,),
    "pointers": (SourceKind.HTTP, SourceKind.CLAIMS),
    "query": (SourceKind.SQL,),
    "service": (SourceKind.HTTP,),
    "table": (SourceKind.STATIC,),
}
_KEYABLE = {Kind.STRING, Kind.INT, Kind.BOOL}


def _value_of(entry: Entry, key: str) -> Located:
    """The value of a key in a declaration, or the whole of it."""
    if isinstance(entry.value, Table):
        return next((inner.value for inner in entry.value.entries if inner.key == key), entry.value)
    return entry.value


def _source(report: Report, file: str, entry: Entry) -> Source | None:
    if entry.key in {REQUEST, "usage"} or not TOKEN.fullmatch(entry.key):
        expected = "expected a source's name of a-z, 0-9, `_`, `.`, `-`, other than `request` and `usage`"
        report.note(file, entry, f"{expected}, found `{shorten(entry.key)}`")
        return None
    keys = Keys(
        report,
        file,
        entry.value,
        "a source",
        known=("description", "kind", "timeout", "ttl", *_ONLY_FOR),
        needs=("kind",),
    )
    kind = keys.choice("kind", SourceKind)
    if kind is None:
        return None
    for key, kinds in _ONLY_FOR.items():
        if keys.has(key) and kind not in kinds:
            names = " and ".join(f"`{name}`" for name in kinds)
            keys.note(key, f"expected `{key}` only for a source of kind {names}, found kind `{kind.value}`")
    return Source(
        name=entry.key,
        kind=kind.value,
        settings=_settings(kind, report, keys),
        timeout_ms=keys.milliseconds("timeout", 1_000, most=MAX_TIMEOUT_MS),
        ttl_ms=keys.milliseconds("ttl", 0, most=MAX_TTL_MS),
    )


def _settings(kind: SourceKind, report: Report, keys: Keys) -> dict[str, Value]:
    match kind:
        case SourceKind.STATIC:
            return _static(report, keys)
        case SourceKind.PYTHON:
            return _memory_key(keys) if keys.has("key") else {}
        case SourceKind.SQL:
            return outside.read_sql(keys)
        case SourceKind.HTTP:
            return outside.read_http(keys)
        case SourceKind.CLAIMS:
            return outside.read_pointers(keys)
        case SourceKind.CONTENT:
            return {}


def _memory_key(keys: Keys) -> dict[str, Value]:
    """The parts of the request that tell one question to a function from another: one path, or a list of them."""
    if isinstance(keys.values["key"], Items):
        return {"key": [str(text.value) for text in keys.texts("key", least=1)]}
    path = keys.text("key")
    return {"key": path} if path else {}


def _static(report: Report, keys: Keys) -> dict[str, Value]:
    settings: dict[str, Value] = {}
    if keys.has("file") == keys.has("table"):
        found = "both" if keys.has("file") else "neither"
        keys.report.note(
            keys.file,
            keys.node,
            f"expected either `file` or `table` for a static source, found {found}",
            code="missing-key",
        )
    if keys.has("file"):
        name = keys.text("file")
        if name and (
            name.startswith("/") or "\\" in name or ".." in name.split("/") or not name.endswith((".yaml", ".json"))
        ):
            hint = "tables live beside the policies, such as `data/wards.yaml`"
            keys.note(
                "file", f"expected a `.yaml` or `.json` file within the policy folder, found `{shorten(name)}`", hint
            )
        settings["file"] = name
    if keys.has("key"):
        settings["key"] = keys.text("key")
    if keys.has("table"):
        settings["table"] = _table(report, keys, is_keyed=keys.has("key"))
    return settings


def _table(report: Report, keys: Keys, *, is_keyed: bool) -> Value:
    node = keys.values["table"]
    if not isinstance(node, Table):
        keys.note("table", f"expected a table for `table`, found {describe(node)}")
        return {}
    for entry in node.entries if is_keyed else ():
        if not isinstance(entry.value, Table):
            message = f"expected a row of named values for `{shorten(entry.key)}`, found {describe(entry.value)}"
            report.note(keys.file, entry.value, message, "without `key` the table is a single row")
    if len(node.entries) > MAX_TABLE_ROWS:
        keys.note(
            "table", f"expected at most {MAX_TABLE_ROWS} rows for `table`, found {len(node.entries)}", "use a file"
        )
    return plain(node)  # type: ignore[return-value]  # plain data is made of values; mypy holds the keys invariant


def _action(report: Report, heading: Heading, entry: Entry) -> Action | None:
    if not NAME.fullmatch(entry.key):
        is_pattern = PATTERN.fullmatch(entry.key) is not None
        hint = "patterns stand in rules; an action is declared by its name" if is_pattern else ""
        report.note(
            heading.file,
            entry,
            f"expected an action's name of letters, digits and `_.:/-`, found `{shorten(entry.key)}`",
            hint,
        )
        return None
    node = entry.value
    if isinstance(node, Scalar) and node.value is None:
        node = Table((), node.line, node.column)
    keys = Keys(report, heading.file, node, "an action", known=("arguments", "description", "resources", "same_as"))
    arguments = [read_argument(report, heading.file, inner) for inner in keys.entries("arguments")]
    return Action(
        name=entry.key,
        description=keys.text("description"),
        arguments=tuple(sorted((fact for fact in arguments if fact is not None), key=lambda fact: fact.path)),
        resource_types=tuple(sorted(_names(report, keys, "resources"))),
        namespace=heading.namespace,
        same_as=keys.text("same_as"),
    )


def _names(report: Report, keys: Keys, key: str) -> Iterable[str]:
    for text in keys.texts(key):
        name = str(text.value)
        if NAME.fullmatch(name):
            yield name
        else:
            report.note(
                keys.file, text, f"expected a resource type of letters, digits and `_.:/-`, found `{shorten(name)}`"
            )


def read_patterns(
    report: Report, keys: Keys, key: str, actions: dict[str, Placed[Action]], *, least: int = 1
) -> tuple[Scalar, ...]:
    """The actions that a rule or counter covers, by name or pattern; a name must be declared once any action is."""
    node = keys.values.get(key)
    if isinstance(node, Items) and not node.items and least:
        keys.note(key, f"expected at least one action for `{key}`, found an empty list")
        return ()
    found: list[Scalar] = []
    for text in keys.texts(key):
        if not check_pattern(report, keys.file, text):
            continue
        name = str(text.value)
        if actions and "*" not in name and name not in actions:
            message = f"expected a declared action for `{key}`, found `{shorten(name)}`"
            report.note(keys.file, text, message, report.guess(name, actions), code="unknown-action")
            continue
        found.append(text)
    return tuple(found)
