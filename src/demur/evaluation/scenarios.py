"""Cases beside the policies: a request and facts in, the answer compared with what the author expected.

- Facts that a case does not give come from static sources and content detectors; whatever else is needed is unknown,
  as it would be if its source failed (S2.1).
- A case is judged by the same intake, resolution and decision as a real request, at the time that the case names.
- A fact that a case gives must be declared, and must not be a claim: what the caller claims stands in the request.

Clauses: S1.2, S2, S3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demur import wiring
from demur.core import intake, resolution
from demur.core.conform import ConformError, conform
from demur.core.decision import decide
from demur.core.policy.reading import nearest
from demur.core.refusal import refuse
from demur.core.resolution import Approval, Learned
from demur.core.schema import REQUEST, Type
from demur.core.terms import Missing, Outcome, State
from demur.errors import IntakeError, PolicyError, Problem
from demur.evaluation.scenario_reading import Case, Given, Suite, read_suites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from demur.core.decision import Decision
    from demur.core.policy.index import PolicySet
    from demur.core.schema import Schema
    from demur.core.terms import Request, Timestamp

    Learn = Callable[[Request, Mapping[str, Sequence[str]], Timestamp], Mapping[str, Learned]]
    """What sources know of the wanted paths, given by source name: `ports.Sources.learn`."""

__all__ = ["Case", "Difference", "Suite", "Verdict", "read_suites", "run", "run_folder"]

_OFFLINE = frozenset({"static", "content"})
"""The kinds of sources that a test asks; a callable of the host might reach the world."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that came out otherwise than expected."""

    key: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.key}: expected {_shown(self.expected)}, found {_shown(self.found)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case came out."""

    file: str
    line: int
    name: str
    differences: tuple[Difference, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences


def run_folder(path: Path) -> Iterator[Verdict]:
    """Run every `*.test.yaml` of a folder and its subfolders.

    Raises `PolicyError` where tests or the policies that they name do not load, and where there are no tests.
    """
    suites = read_suites(wiring.read_tests(path))
    if not suites:
        raise PolicyError([Problem(str(path), 0, 0, "expected at least one `*.test.yaml` file, found none")])
    folders = dict.fromkeys((Path(suite.file).parent / suite.policies).resolve() for suite in suites)
    for folder in folders:
        documents = wiring.load_policies(folder)
        policies = wiring.build_policies(documents)
        sources = wiring.open_declared_sources(documents, folder, must_exist=False)
        try:
            for suite in suites:
                if (Path(suite.file).parent / suite.policies).resolve() == folder:
                    check_suite(suite, policies.schema)
                    yield from (run(case, policies, sources.learn) for case in suite.cases)
        finally:
            sources.close()


def run_within(path: Path) -> Iterator[Verdict]:
    """As `run_folder`, for tests that somebody sent: the policies that they name must lie in the folder itself."""
    for suite in read_suites(wiring.read_tests(path)):
        if not (Path(suite.file).parent / suite.policies).resolve().is_relative_to(path.resolve()):
            name = Path(suite.file).name
            raise PolicyError([Problem(name, 0, 0, "expected policies of the same folder, found others")])
    yield from run_folder(path)


def check_suite(suite: Suite, schema: Schema) -> None:
    """Check the facts that the cases give against the schema; raises `PolicyError` with all problems."""
    found = [
        problem
        for case in suite.cases
        for path, given in case.facts.items()
        if (problem := _problem(case, path, given, schema)) is not None
    ]
    if found:
        raise PolicyError(list(dict.fromkeys(found)))


def run(case: Case, policies: PolicySet, learn: Learn) -> Verdict:
    """Judge one case and compare. The facts of the case must have passed `check_suite`."""
    try:
        request = intake.read(case.request, policies.schema, caller=intake.Caller(id=case.caller))
    except IntakeError as error:
        found: dict[str, object] = {"malformed": error.pointer, "outcome": f"malformed: {error}"}
        return _compared(case, found)
    decision = decide(_facts(case, request, policies, learn), policies)
    return _compared(case, _found(decision))


def _facts(case: Case, request: Request, policies: PolicySet, learn: Learn) -> resolution.Facts:
    schema = policies.schema
    wanted = {
        name: [path for path in paths if path not in case.facts]
        for name, paths in policies.needs(request.action, request.resource.type).items()
        if name in schema.sources and schema.sources[name].kind in _OFFLINE
    }
    learned = dict(learn(request, wanted, case.now))
    learned |= {path: Learned(_state(given, path, schema), case.now) for path, given in case.facts.items()}
    facts = resolution.resolve(request, schema, learned, case.now)
    if not case.approved:
        return facts
    digests = {rule.id: rule.digest for rule in policies.documents.rules}
    named = tuple((name, digests.get(name, "")) for name in case.approved)
    return resolution.with_approvals(facts, (Approval("case", named),))


def _found(decision: Decision) -> dict[str, object]:
    is_allowed = decision.outcome is Outcome.ALLOW
    refusal = None if is_allowed else refuse(decision)
    return {
        "outcome": decision.outcome.value,
        "category": decision.category.value if decision.category is not None else "",
        "disposition": refusal.reason.disposition.value if refusal is not None else "",
        "triggering_policy": decision.trigger,
        "determining": sorted(decision.determining),
        "missing_facts": sorted(decision.missing),
        "failed": sorted({item.condition for item in refusal.missing_conditions}) if refusal is not None else [],
        "obligations": sorted(obligation.id for obligation in decision.obligations),
        "malformed": "",
    }


def _compared(case: Case, found: Mapping[str, object]) -> Verdict:
    differences = tuple(
        Difference(key, expected, found.get(key, ""))
        for key, expected in case.expect.items()
        if found.get(key, "") != expected
    )
    return Verdict(case.file, case.line, case.name, differences)


def _type_of(path: str, schema: Schema) -> Type | None:
    """The type of a fact that sources, counters or the desk provide."""
    if (counted := schema.counted(path)) is not None:
        return counted
    fact = schema.facts.get(path)
    return fact.type if fact is not None and fact.source != REQUEST else None


def _problem(case: Case, path: str, given: Given, schema: Schema) -> Problem | None:
    declared = _type_of(path, schema)
    at = (case.file, given.node.line, given.node.column)
    if declared is None:
        known = [*schema.counters, *(p for p, fact in schema.facts.items() if fact.source != REQUEST)]
        if path in schema.facts or path.startswith("action."):
            hint = "what the caller claims stands under `request`; leave it out there to have it absent"
            return Problem(*at, f"expected a fact from a source, found the claim `{path}`", hint)
        near = nearest(path, known)
        hint = f"did you mean `{near}`?" if near else ""
        return Problem(*at, f"expected a declared fact, found `{path}`", hint)
    if isinstance(given.state, Missing):
        return None
    try:
        conform(given.state, declared)
    except ConformError as error:
        return Problem(*at, f"expected {error.expected} for `{path}`, found {error.found}")
    return None


def _state(given: Given, path: str, schema: Schema) -> State:
    declared = _type_of(path, schema)
    if isinstance(given.state, Missing) or declared is None:
        return given.state if isinstance(given.state, Missing) else Missing.UNKNOWN
    return conform(given.state, declared)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    text = str(value)
    return (text if "`" in text else f"`{text}`") if text else "none"
