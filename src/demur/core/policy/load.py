"""Source documents -> Documents: everything is checked, and every problem is reported at once.

    1. headings: version, namespace, ownership, locale, zone
    2. declarations: sources, facts, actions, usage counters
    3. the desk, rules as written, and the facts that shipped conditions need
    4. the row of facts, then every condition against it, those of the desk included
    5. digests

A set with a problem is refused as a whole: half of a policy is not a policy.

Clauses: S2, S3, S4.1, S5.5, S7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.policy import digest, layout
from demur.core.policy.conditions import Conditions
from demur.core.policy.counters import read_counters
from demur.core.policy.declarations import Declarations, Placed, SourceKind
from demur.core.policy.desk import read_desk
from demur.core.policy.desk import slots as desk_slots
from demur.core.policy.desk_risk import read_risk
from demur.core.policy.document import Documents
from demur.core.policy.drafts import Drafts
from demur.core.policy.facts import CONTENT, Detector
from demur.core.policy.heading import Namespaces, is_test, read_heading, read_locale, read_repeats, read_zone
from demur.core.policy.library import Shipped, code_fact
from demur.core.policy.located import Entry, Scalar, Table
from demur.core.policy.reading import Report
from demur.core.policy.stand_ins import check_stand_ins
from demur.core.schema import Detect, Fact, Kind, Schema, Source, Type
from demur.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demur.core.policy.document import Rule
    from demur.core.policy.heading import Heading
    from demur.core.policy.located import SourceDocument
    from demur.core.schema import Counter, Slot

_DEFAULT_ZONE = "UTC"


def load(documents: Sequence[SourceDocument], is_zone: Callable[[str], bool]) -> Documents:
    """The checked set; raises `PolicyError` with all problems, in document order."""
    report = Report()
    headings = _headings(report, documents)
    loaded = _load(report, headings, is_zone)
    if report.problems:
        order = {document.file: place for place, document in enumerate(documents)}
        raise PolicyError(sorted(report.problems, key=lambda p: (order.get(p.file, -1), p.line, p.column)))
    return _digested(loaded)


def _headings(report: Report, documents: Sequence[SourceDocument]) -> list[Heading]:
    headings: list[Heading] = []
    for document in documents:
        for problem in document.problems:
            report.add(problem)
        if document.root is None:
            continue
        if is_test(document):
            hint = "name the file `*.test.yaml`"
            report.note(document.file, document.root, "expected a policy document, found a test", hint)
            continue
        heading = read_heading(report, document, document.root)
        if heading is not None:
            headings.append(heading)
    if any(document.root is None for document in documents):
        # What the unreadable file declares is not known, so nothing that refers to it can be judged.
        raise PolicyError(report.problems)
    return headings


def _load(report: Report, headings: list[Heading], is_zone: Callable[[str], bool]) -> Documents:
    namespaces = Namespaces(report, headings)
    locale, zone = read_locale(headings), read_zone(headings, is_zone)
    declared = Declarations(report)
    for heading in headings:
        declared.read(heading, namespaces)
    declared.check()
    counters = read_counters(declared, zone, is_zone)
    desk, desk_keys = read_desk(declared, headings, zone, is_zone)
    drafts = Drafts(report, declared, namespaces, desk.rotas)
    for heading in headings:
        drafts.read(heading)
    _declare_findings(declared, drafts)
    readable = desk_slots(desk)
    schema = msgspec.structs.replace(
        _schema(declared, counters, zone, readable), repeats=read_repeats(report, headings)
    )
    views = layout.Views(schema, is_zone)
    risk = read_risk(declared, desk_keys, schema, views)
    conditions = Conditions(report, declared, views, counters, zone, is_zone)
    rules = [conditions.rule(draft) for draft in drafts.rules.values()]
    check_stand_ins(report, {draft.rule.id: draft.keys for draft in drafts.rules.values()}, rules, schema)
    return Documents(
        schema=schema,
        rules=tuple(sorted(rules, key=_rule_id)),
        namespaces=namespaces.as_model(),
        digest="",
        locale=locale,
        desk=msgspec.structs.replace(desk, risk=risk),
    )


def _declare_findings(declared: Declarations, drafts: Drafts) -> None:
    """Declare the facts behind `use: contains-code` over a text: a source of kind `content` finds them."""
    for draft in drafts.rules.values():
        for condition in draft.conditions():
            if condition.use is None or condition.use.value != Shipped.CONTAINS_CODE:
                continue
            target = _parameter(condition.parameters, "in")
            path = code_fact(target, declared)
            if path and path != target and path not in declared.facts:
                fact = Fact(path=path, type=Type(Kind.BOOL), source=_content_source(declared))
                at = condition.use
                declared.facts[path] = Placed(fact, draft.rule.file, Entry(path, at.line, at.column, at))
                declared.detects[path] = (Detector.CODE.value, target)


def _parameter(node: object, key: str) -> str:
    if isinstance(node, Table):
        for entry in node.entries:
            if entry.key == key and isinstance(entry.value, Scalar) and isinstance(entry.value.value, str):
                return entry.value.value
    return ""


def _content_source(declared: Declarations) -> str:
    found = sorted(name for name, placed in declared.sources.items() if placed.item.kind == SourceKind.CONTENT)
    if found:
        return found[0]
    here = Scalar(None, 0, 0)
    source = Source(name=CONTENT, kind=SourceKind.CONTENT.value)
    declared.sources[CONTENT] = Placed(source, "", Entry(CONTENT, 0, 0, here))
    return CONTENT


def _schema(declared: Declarations, counters: dict[str, Counter], zone: str, desk: tuple[Slot, ...]) -> Schema:
    facts = {path: _fact(declared, path) for path in sorted(declared.facts)}
    actions = {name: declared.actions[name].item for name in sorted(declared.actions)}
    sources = {name: declared.sources[name].item for name in sorted(declared.sources)}
    return Schema(
        facts=facts,
        actions=actions,
        sources={name: _with_detectors(source, declared, facts) for name, source in sources.items()},
        counters=counters,
        slots=layout.slots(facts.values(), counters.values(), actions.values(), desk),
        zone=zone or _DEFAULT_ZONE,
    )


def _fact(declared: Declarations, path: str) -> Fact:
    fact, found = declared.facts[path].item, declared.detects.get(path)
    return msgspec.structs.replace(fact, detect=Detect(*found)) if found else fact


def _with_detectors(source: Source, declared: Declarations, facts: dict[str, Fact]) -> Source:
    """A content source with what it must look for: `detect` maps a fact's path to `what` and `in`."""
    wanted = {
        path: {"what": what, "in": target}
        for path, (what, target) in sorted(declared.detects.items())
        if path in facts and facts[path].source == source.name
    }
    if source.kind != SourceKind.CONTENT:
        return source
    return msgspec.structs.replace(source, settings={"detect": wanted})


def _digested(documents: Documents) -> Documents:
    rules: list[Rule] = []
    forms: list[bytes] = []
    for rule in documents.rules:
        form = digest.rule_form(rule)
        forms.append(form)
        rules.append(msgspec.structs.replace(rule, digest=digest.of_bytes(form)))
    return msgspec.structs.replace(documents, rules=tuple(rules), digest=digest.of_forms(documents, forms))


def _rule_id(rule: Rule) -> str:
    return rule.id
