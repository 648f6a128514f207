"""The playground: a request judged as an inquiry, by the policies in force or by a text of the moment.

- By the policies in force it is the gate's inquiry: recorded as such, no grant, no quota (S5.3).
- By a text of the moment nothing is recorded: facts are those given here, of static tables and of detectors.
- What sources know about somebody is masked here as everywhere; what was typed is shown as it was typed.
- Whoever may not read every decision asks only for subjects that they may speak for.

Clauses: S1.1, S5.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.console import telling, tracing
from demur.console.page import Page
from demur.console.pages.policies import readable
from demur.console.tracing import Item
from demur.core import intake, personal
from demur.core.access import Act
from demur.core.decision import explain
from demur.core.intake import Caller
from demur.core.personal import Protection
from demur.core.resolution import Learned
from demur.core.schema import BUILT_IN, REQUEST
from demur.core.terms import Audience, Missing, Outcome, to_json
from demur.errors import ConfigurationError, IntakeError, PolicyError
from demur.evaluation import inquiry
from demur.server.service import check_subject
from demur.steps.inquiring import Purpose
from demur.wiring import drafts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.core.decision import Decision
    from demur.core.policy.explanation import Explanation, Seen
    from demur.core.refusal import Refusal

HOME = "/desk/playground"
EXAMPLE = """{
  "subject": {"type": "user", "id": "ann"},
  "action": {"name": "%s", "properties": {}},
  "resource": {"type": "thing", "id": "1"}
}"""
NAME = "policies.yaml"
FORM = ("request", "facts", "policies")


async def playground(visit: Visit) -> Response:
    """The empty form."""
    actions = visit.gate.listed("action.name")
    return _shown(visit, {"request": EXAMPLE % (actions[0] if actions else "action"), "facts": "", "policies": ""})


async def judge(visit: Visit) -> Response:
    """The form with what the request would be answered."""
    given = {name: visit.field(name).replace("\r\n", "\n") for name in FORM}
    raw = given["request"]
    try:
        members = intake.parse(raw.encode("utf-8", "replace"))
        if given["policies"].strip():
            visit.check(Act.POLICY_PROPOSE)
            return await _drafted(visit, given)
        if not visit.may(Act.DECISION_READ):
            check_subject(visit.identity, members)
        found = (
            await visit.run(
                lambda: visit.gate.inquire([raw], caller=Caller(visit.identity.id), purpose=Purpose.PLAYGROUND)
            )
        )[0]
    except (IntakeError, ConfigurationError) as error:
        return _shown(visit, given, status=400, problem=error)
    explained = explain(found.facts, found.decision.policy_set, found.decision)
    result = _result(found.decision, explained, found.refusal, masks=True)
    return _shown(visit, given, result=result | {"audit_id": found.audit_id, "outcome": found.outcome.value})


async def _drafted(visit: Visit, given: Mapping[str, str]) -> Response:
    facts = _facts(given["facts"])
    now = visit.service.clock.now()

    def work() -> inquiry.Inquiry:
        with drafts.written({NAME: given["policies"]}) as folder:
            return inquiry.inquire(folder, given["request"].encode("utf-8", "replace"), facts, now=now)

    try:
        found = await visit.run(work)
    except PolicyError as error:
        return _shown(visit, given, status=422, problems=readable(error.problems, None))
    result = _result(found.decision, found.explanation, found.refusal, masks=False)
    outcome = Outcome.ALLOW if found.refusal is None else found.refusal.outcome
    return _shown(visit, given, result=result | {"audit_id": "", "outcome": outcome.value})


def _facts(text: str) -> Mapping[str, object]:
    if not text.strip():
        return {}
    try:
        return intake.parse(text.encode("utf-8", "replace"))
    except IntakeError as error:
        expected = 'an object such as `{"account.frozen": false}`'
        raise IntakeError(f"facts{error.pointer}", expected=expected, found="something else") from error


def _shown(visit: Visit, given: Mapping[str, str], *, status: int = 200, **more: object) -> Response:
    values: dict[str, object] = {"result": None, "problem": None, "problems": (), **more}
    return visit.show(
        "playground.html",
        status=status,
        given=given,
        actions=visit.gate.listed("action.name"),
        may_draft=visit.may(Act.POLICY_PROPOSE),
        **values,
    )


def _result(decision: Decision, explained: Explanation, refusal: Refusal | None, *, masks: bool) -> dict[str, object]:
    hidden = (decision, explained) if masks else None
    return {
        "rules": tracing.rules(explained, decision),
        "facts": [_item(seen, decision, masks=masks) for _, seen in sorted(explained.facts.items())],
        "told": [] if refusal is None else [_told(refusal, audience, hidden) for audience in Audience],
    }


def _item(seen: Seen, decision: Decision, *, masks: bool) -> Item:
    is_claim = seen.path in BUILT_IN or seen.source == REQUEST
    kind = personal.protection(seen.path, decision.facts.request, decision.policy_set.schema)
    told = Item(
        path=seen.path,
        source=seen.source,
        trust="claimed" if is_claim else "resolved",
        age=telling.span(telling.seconds_between(seen.at, decision.as_of)),
        why=seen.why,
    )
    if isinstance(seen.state, Missing):
        return msgspec.structs.replace(told, state=seen.state.value)
    if masks and not is_claim and kind is not Protection.NONE:
        return msgspec.structs.replace(told, protection=kind.value)
    return msgspec.structs.replace(told, text=tracing.text(to_json(seen.state)))


def _told(refusal: Refusal, audience: Audience, hidden: tuple[Decision, Explanation] | None) -> dict[str, object]:
    context = refusal.to_dict(audience=audience)["context"]
    assert isinstance(context, dict)
    told: object = {
        "why": refusal.why(audience=audience),
        "step": refusal.next_step(audience=audience),
        "refusal": context["refusal"],
    }
    if hidden is not None:
        decision, explained = hidden
        learned = {path: Learned(seen.state, seen.at) for path, seen in explained.facts.items()}
        told = personal.masked(told, decision.facts.request, decision.policy_set.schema, learned)
    assert isinstance(told, dict)
    return {"audience": audience.value, **told}


PAGES = (
    Page(HOME, Act.EXPLAIN, playground, title="Playground", group="Policy"),
    Page(HOME, Act.EXPLAIN, judge, method="POST"),
)
