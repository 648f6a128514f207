"""Test documents (`*.test.yaml`) -> suites of cases; every problem is noted with its place, as for policies.

- What stands under `defaults` is merged under every case: tables member by member, anything else as a whole.
- A case says of a fact that it has a value, is absent or is unknown; the last one said wins over the defaults.
- What a case expects is compared key by key; a key that is not given is not compared.

Clauses: S2.1, S3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.policy.located import Located, Scalar, SourceDocument, Table, describe, plain, shorten
from demur.core.policy.reading import Keys, Report
from demur.core.terms import Category, Disposition, Missing, Outcome, Timestamp, parse_timestamp
from demur.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
"""The version of the format, the value of `demur-test`."""

TEXTS = ("category", "disposition", "outcome", "triggering_policy")
LISTS = ("determining", "failed", "missing_facts", "obligations")
EXPECTED = (*TEXTS, *LISTS, "malformed")
"""What a case can expect. `malformed` is the JSON pointer at which intake refuses the request."""

_CHOICES = {
    "outcome": [outcome.value for outcome in Outcome if outcome is not Outcome.UNAVAILABLE],
    "category": [category.value for category in Category if category is not Category.UNAVAILABLE],
    "disposition": [disposition.value for disposition in Disposition],
}
"""A test judges, so `unavailable`, which is no decision, cannot come out (S5.2)."""
_CASE_KEYS = ("absent", "approved", "caller", "expect", "facts", "name", "now", "request", "unknown")
_DEFAULT_KEYS = ("absent", "caller", "facts", "now", "request", "unknown")
_DEFAULT_NOW = "2026-01-01T00:00:00Z"
_DEFAULT_CALLER = "test"


@dataclass(frozen=True, slots=True)
class Given:
    """What a case says of one fact, and where."""

    state: object
    node: Located


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a request, facts, and what is expected."""

    file: str
    line: int
    name: str
    request: Mapping[str, object]
    facts: Mapping[str, Given]
    approved: tuple[str, ...]
    now: Timestamp
    caller: str
    expect: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file. `policies` is the folder of the policies, relative to the file."""

    file: str
    policies: str
    cases: tuple[Case, ...]


def read_suites(documents: Sequence[SourceDocument]) -> tuple[Suite, ...]:
    """The suites of test documents; raises `PolicyError` with all problems."""
    report = Report()
    suites = [suite for document in documents if (suite := _suite(report, document)) is not None]
    if report.problems:
        raise PolicyError(report.problems)
    return tuple(suites)


def _suite(report: Report, document: SourceDocument) -> Suite | None:
    for problem in document.problems:
        report.add(problem)
    if document.root is None:
        return None
    known, needs = ("cases", "defaults", "demur-test", "description", "policies"), ("demur-test", "cases")
    keys = Keys(report, document.file, document.root, "a test document", known=known, needs=needs)
    version = keys.values.get("demur-test")
    if version is not None and not (
        isinstance(version, Scalar) and version.value == FORMAT and version.value is not True
    ):
        keys.note("demur-test", f"expected format version `{FORMAT}` for `demur-test`, found {describe(version)}")
        return None
    node = keys.values.get("defaults")
    defaults = Keys(report, document.file, node, "`defaults`", known=_DEFAULT_KEYS) if node is not None else None
    names: set[str] = set()
    cases = [case for item in keys.items("cases") if (case := _case(report, document.file, item, defaults, names))]
    return Suite(document.file, keys.text("policies", "."), tuple(cases))


def _case(report: Report, file: str, node: Located, defaults: Keys | None, names: set[str]) -> Case | None:
    keys = Keys(report, file, node, "a case", known=_CASE_KEYS, needs=("name", "expect"))
    if not keys.is_table:
        return None
    name = keys.text("name")
    if name and name in names:
        keys.note("name", f"expected case names that are unique in a file, found `{shorten(name)}` again")
    names.add(name)
    request = _merged(_table(defaults, "request"), _table(keys, "request"))
    return Case(
        file=file,
        line=node.line,
        name=name,
        request=request,
        facts={**_facts(defaults), **_facts(keys)},
        approved=tuple(str(text.value) for text in keys.texts("approved")),
        now=_now(keys if keys.has("now") else defaults),
        caller=keys.text("caller", defaults.text("caller", _DEFAULT_CALLER) if defaults else _DEFAULT_CALLER),
        expect=_expect(report, keys),
    )


def _table(keys: Keys | None, key: str) -> dict[str, object]:
    if keys is None or not keys.has(key):
        return {}
    return {entry.key: plain(entry.value) for entry in keys.entries(key)}


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _facts(keys: Keys | None) -> dict[str, Given]:
    if keys is None:
        return {}
    found: dict[str, Given] = {}
    for key, state in (("unknown", Missing.UNKNOWN), ("absent", Missing.ABSENT)):
        for text in keys.texts(key):
            if str(text.value) in found:
                keys.report.note(
                    keys.file, text, f"expected `{text.value}` to be said once, found it under `{key}` too"
                )
            found[str(text.value)] = Given(state, text)
    for entry in keys.entries("facts"):
        if entry.key in found:
            message = f"expected `{entry.key}` to be said once, found it under `facts` too"
            keys.report.note(keys.file, entry, message)
        found[entry.key] = Given(plain(entry.value), Scalar(None, entry.line, entry.column))
    return found


def _now(keys: Keys | None) -> Timestamp:
    text = keys.text("now", _DEFAULT_NOW) if keys is not None else _DEFAULT_NOW
    try:
        return parse_timestamp(text)
    except ValueError:
        if keys is not None:
            keys.note("now", f"expected a time such as `2026-11-20T09:00:00Z` for `now`, found `{shorten(text)}`")
        return parse_timestamp(_DEFAULT_NOW)


def _expect(report: Report, keys: Keys) -> dict[str, object]:
    node = keys.values.get("expect")
    if node is None:
        return {}
    inner = Keys(report, keys.file, node, "`expect`", known=EXPECTED)
    if isinstance(node, Table) and not node.entries:
        report.note(keys.file, node, "expected at least one key in `expect`, found none")
    if inner.has("malformed") and len(inner.values) > 1:
        inner.note("malformed", "expected `malformed` alone: a request that is refused at intake is not judged")
    return {key: _expected(inner, key) for key in EXPECTED if inner.has(key)}


def _expected(inner: Keys, key: str) -> object:
    if key in _CHOICES:
        return inner.one_of(key, _CHOICES[key])
    if key in LISTS:
        return sorted(str(text.value) for text in inner.texts(key))
    return inner.text(key)
