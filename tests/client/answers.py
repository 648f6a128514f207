"""Answers of every kind, generated as the core makes them, for what reads them back."""

from __future__ import annotations

from hypothesis import strategies as st

from demur.core.disclosure import Reason
from demur.core.duty import Limit
from demur.core.grant import Grant
from demur.core.obstacles import Obstacle, Standing
from demur.core.policy.document import Obligation
from demur.core.refusal import Refusal
from demur.core.remedy import NoRemedy, Remedies
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import Direction, OtherAction, Part, Repair
from demur.core.review import Deferral
from demur.core.schema import Visibility
from demur.core.terms import Audience, Bar, Category, Disposition, Entity, Outcome, Timestamp

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.text("abcdef.-é", min_size=1, max_size=6)
PATHS = st.sampled_from(["action.amount", "action.note", "patient.consent", "context.day", "subject.role"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
TIMES = st.integers(-62_135_596_800, 253_402_300_799).map(lambda seconds: Timestamp(seconds * 10**9 + 120_000_000))
TABLES = st.dictionaries(NAMES, JSON, max_size=3)
OBLIGATIONS = st.lists(
    st.builds(Obligation, id=NAMES, type=st.sampled_from(["notify", "log", "show_limit", "mask"]), properties=TABLES),
    max_size=3,
    unique_by=lambda item: item.id,
).map(tuple)
VISIBLE = st.dictionaries(st.sampled_from(Audience), st.sampled_from(Visibility), max_size=3)
OUTCOMES = st.sampled_from([Outcome.ALLOW, Outcome.DEFER, Outcome.DENY])
PROMISED = st.sampled_from([Outcome.ALLOW, Outcome.DEFER])


@st.composite
def parts(draw: st.DrawFn, path: str) -> Part:
    kind = draw(st.sampled_from(Kind))
    words = {"path": path, "direction": draw(st.sampled_from(Direction)), "visible": draw(VISIBLE)}
    if kind is not Kind.CHANGE:
        return Part(kind=kind, value=draw(JSON), how=draw(TEXTS), by=draw(TEXTS), event=draw(TEXTS), **words)
    match draw(st.integers(0, 3)):
        case 0:
            return Part(kind=kind, value=draw(JSON), **words)
        case 1:
            return Part(kind=kind, is_left_out=True, **words)
        case 2:
            return Part(kind=kind, is_any=True, **words)
        case _:
            return Part(kind=kind, is_any=True, other_than=("x", draw(TEXTS)), **words)


@st.composite
def repairs(draw: st.DrawFn) -> Repair:
    paths = draw(st.lists(PATHS, min_size=1, max_size=3, unique=True))
    return Repair(
        parts=tuple(draw(parts(path)) for path in paths),
        leads_to=draw(PROMISED),
        cost=draw(st.floats(0, 9, width=16)),
        as_of=draw(TIMES),
        earliest=draw(st.none() | TIMES),
        is_confidential=draw(st.booleans()),
    )


REMEDIES = st.builds(
    Remedies,
    modifications=st.lists(repairs(), max_size=3).map(tuple),
    alternatives=st.lists(
        st.builds(OtherAction, action=NAMES, arguments=TABLES, leads_to=PROMISED, as_of=TIMES, explanation=TEXTS),
        max_size=2,
    ).map(tuple),
    reason=st.none() | st.sampled_from(NoRemedy),
    as_of=TIMES,
)
OBSTACLES = st.builds(
    Obstacle,
    rule=NAMES,
    condition=TEXTS,
    explanation=TEXTS,
    facts=st.lists(PATHS, max_size=2).map(tuple),
    state=st.sampled_from(Standing),
)


@st.composite
def refusals(draw: st.DrawFn, outcome: Outcome | None = None) -> Refusal:
    known = outcome or draw(st.sampled_from([Outcome.DENY, Outcome.UNAVAILABLE]))
    is_decided = known is not Outcome.UNAVAILABLE
    categories = st.sampled_from([c for c in Category if (c is not Category.UNAVAILABLE) is is_decided])
    reasons = st.builds(Reason, categories, st.sampled_from(Disposition), TEXTS)
    obligations = draw(OBLIGATIONS)
    shown = [
        Limit(duty=item.id, fact=draw(PATHS), value=draw(JSON), unit=draw(TEXTS), audiences=tuple(Audience))
        for item in obligations
        if item.type == "show_limit" and draw(st.booleans())
    ]
    return Refusal(
        outcome=known,
        reason=draw(reasons),
        shown=draw(reasons),
        audit_id=draw(TEXTS),
        as_of=draw(TIMES),
        checkpoint=draw(TEXTS),
        policy_version=draw(TEXTS),
        trace_id=draw(TEXTS),
        request_id=draw(TEXTS),
        action={"name": draw(NAMES), "properties": draw(TABLES)},
        missing_conditions=draw(st.lists(OBSTACLES, max_size=3).map(tuple)),
        messages=draw(st.dictionaries(st.sampled_from(Audience), st.dictionaries(st.just("en"), TEXTS), max_size=2)),
        wanted=draw(TEXTS),
        marks=draw(st.dictionaries(PATHS, VISIBLE, max_size=2)),
        is_remediable=draw(st.booleans()),
        shown_is_remediable=draw(st.booleans()),
        is_withheld=draw(st.booleans()),
        remedies=draw(st.none() | REMEDIES),
        determining=draw(st.lists(NAMES, max_size=2).map(tuple)),
        obligations=obligations,
        shown_obligations=obligations,
        limits=tuple(shown),
        escalation_roles=draw(st.lists(NAMES, max_size=2).map(tuple)),
        repeat_of=draw(TEXTS),
        repeats=draw(st.integers(0, 9)),
        bar=draw(st.none() | st.sampled_from(Bar)),
        again=draw(st.none() | TIMES),
        detail=draw(TEXTS),
    )


GRANTS = st.builds(
    Grant,
    id=NAMES,
    token=NAMES,
    audit_id=TEXTS,
    action=NAMES,
    arguments=TABLES,
    resource=st.builds(Entity, type=NAMES, id=NAMES),
    expires_at=TIMES,
    constraints=TABLES,
    obligations=OBLIGATIONS,
    policy_version=TEXTS,
    trace_id=TEXTS,
    request_id=TEXTS,
    as_of=TIMES,
    checkpoint=TEXTS,
)
DEFERRALS = st.builds(
    Deferral, review_id=NAMES, deadline=TIMES, estimated=st.none() | TIMES, refusal=refusals(Outcome.DEFER)
)
ANSWERS = GRANTS | refusals() | DEFERRALS
