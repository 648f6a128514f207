"""One request judged outside any gate, with the truth of every rule and condition: no record, no grant, no quota used.

- Facts come from the caller of this function, else from static sources and content detectors; the rest is unknown.
- A given fact must be declared and have its declared type, and it must not be a claim: claims stand in the request.

Clauses: S2, S3, S5.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur import wiring
from demur.core import intake, resolution
from demur.core.conform import ConformError, conform
from demur.core.decision import decide, explain
from demur.core.refusal import refuse
from demur.core.resolution import Learned
from demur.core.schema import REQUEST
from demur.core.terms import Missing, Outcome
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demur.core.decision import Decision, Explanation
    from demur.core.policy.index import PolicySet
    from demur.core.refusal import Refusal
    from demur.core.schema import Schema
    from demur.core.terms import Request, State, Timestamp
    from demur.ports import Sources

OFFLINE = frozenset({"static", "content"})
"""The kinds of sources that can be asked without the host of a gate."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What would be decided and why; `refusal` holds the words of a "no", and is absent for an allow."""

    decision: Decision
    explanation: Explanation
    refusal: Refusal | None


def inquire(folder: Path, raw: bytes, given: Mapping[str, object], *, now: Timestamp) -> Inquiry:
    """Judge the request `raw` by the policies in `folder`; a given null says that there is no such fact.

    Raises `PolicyError`, `IntakeError`, and `ConfigurationError` for a given fact that does not fit.
    """
    documents = wiring.load_policies(folder)
    policies = wiring.build_policies(documents)
    request = intake.read(raw, policies.schema, caller=intake.Caller())
    states = {path: Learned(_state(path, value, policies.schema), now) for path, value in given.items()}
    sources = wiring.open_declared_sources(documents, folder, must_exist=False)
    try:
        learned = {**_learned(request, policies, sources, now), **states}
    finally:
        sources.close()
    facts = resolution.resolve(request, policies.schema, learned, now)
    decision = decide(facts, policies)
    refusal = None if decision.outcome is Outcome.ALLOW else refuse(decision)
    return Inquiry(decision, explain(facts, policies, decision), refusal)


def _learned(request: Request, policies: PolicySet, sources: Sources, now: Timestamp) -> Mapping[str, Learned]:
    declared = policies.schema.sources
    needs = policies.needs(request.action, request.resource.type)
    wanted = {name: paths for name, paths in needs.items() if name in declared and declared[name].kind in OFFLINE}
    return sources.learn(request, wanted, now)


def _state(path: str, value: object, schema: Schema) -> State:
    fact = schema.facts.get(path)
    if (counted := schema.counted(path)) is not None:
        expected = counted
    elif fact is not None and fact.source != REQUEST:
        expected = fact.type
    else:
        hint = "what the caller claims stands in the request"
        raise ConfigurationError(f"expected a declared fact of a source, found `{path[:80]}`", hint=hint)
    if value is None:
        return Missing.ABSENT
    try:
        return conform(value, expected)
    except ConformError as error:
        raise ConfigurationError(f"expected {error.expected} for `{path}`, found {error.found}") from error
