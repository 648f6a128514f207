"""What an explained refusal with verified remedies costs: 100 rules on the action, and the worst that can be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import policies, workload
from bench.table import Table, verdict
from bench.timing import interleaved
from demur.adapters.clock import SystemClock
from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core import intake, resolution
from demur.core.decision import decide
from demur.core.intake import Caller
from demur.core.policy import load as loading
from demur.core.policy.index import PolicySet
from demur.core.refusal import refuse
from demur.core.remedy import Changes, find, rejudge
from demur.core.terms import Outcome

if TYPE_CHECKING:
    from demur.core.remedy import Remedies
    from demur.core.resolution import Facts

TARGET = 500.0
_WORST = 14
"""Arguments of the worst case, each of which may be changed and none of which helps."""

_CHANGED = Changes(values={"action.a0": 8, "action.a1": 9})


def table(*, rounds: int, seconds: float) -> Table:
    """Decide, explain and find remedies; how often there are any; and the limits of the search reached."""
    policy_set, refused = _crowded()
    hard, asked = _hard()
    times = interleaved(
        {
            "decide and build the refusal": (lambda facts: refuse(decide(facts, policy_set)), refused),
            "decide and find the remedies": (lambda facts: _remedied(facts, policy_set), refused),
            "decide, build the refusal and find the remedies": (lambda facts: _explained(facts, policy_set), refused),
            "the worst case": (lambda facts: _explained(facts, hard), [asked]),
        },
        rounds=rounds,
        seconds=seconds,
    )
    made = Table(
        "refusals with verified remedies, 100 rules on the action, no store (microseconds)",
        ["p50", "p99 of the best round", "target"],
    )
    for name, found in times.items():
        is_target = name.startswith("decide, build")
        made.add(name, found.p50, found.p99, verdict(found.p50, TARGET, "us") if is_target else "")
    return _noted(made, [_remedied(facts, policy_set) for facts in refused], _remedied(asked, hard), (hard, asked))


def _noted(made: Table, found: list[Remedies], worst: Remedies, hard: tuple[PolicySet, Facts]) -> Table:
    offered = sum(bool(item.repairs) for item in found)
    most = max(item.judgements for item in found), max(item.probes for item in found)
    made.notes.append(
        f"{offered} of {len(found)} refusals have a remedy; at most {most[0]} re-judgements, {most[1]} probes"
    )
    made.notes.append(f"worst case: {worst.judgements} re-judgements, {worst.probes} probes, {worst.reason}")
    policy_set, asked = hard
    start = time.perf_counter()
    for _ in range(200):
        rejudge(asked, policy_set, _CHANGED)
    bound = (time.perf_counter() - start) * 1_000
    made.notes.append(f"200 re-judgements of that request, the bound of S9.1, take {bound:.1f} ms")
    return made


def _remedied(facts: Facts, policy_set: PolicySet) -> Remedies:
    decision = decide(facts, policy_set)
    return find(decision, lambda changes: rejudge(facts, policy_set, changes), now=facts.now)


def _explained(facts: Facts, policy_set: PolicySet) -> None:
    decision = decide(facts, policy_set)
    refuse(decision)
    find(decision, lambda changes: rejudge(facts, policy_set, changes), now=facts.now)


def _crowded() -> tuple[PolicySet, list[Facts]]:
    """The workload of the other tables, with an amount and a time of day that the requester may change."""
    text = policies.document(workload.rules(100, actions=1), actions=1)
    text = text.replace("arguments: {amount: int}", "arguments: {amount: {type: int, change: {cost: 1}}}")
    text = text.replace("context.minute: int", "context.minute: {type: int, change: {cost: 2}}")
    policy_set = _load(text)
    bodies = [policies.body(request) for request in workload.requests(500, actions=1)]
    ready = [_ready(body, policy_set) for body in bodies]
    return policy_set, [facts for facts in ready if decide(facts, policy_set).outcome is Outcome.DENY]


def _hard() -> tuple[PolicySet, Facts]:
    """A request that no three changes can save, but nothing less than trying shows it."""
    names = [f"a{index}" for index in range(_WORST)]
    declared = ", ".join(f"{name}: {{type: int, change: true}}" for name in names)
    rules = "".join(
        f"  - {{id: r-{index:03d}, effect: permit, actions: [act], when: [{', '.join(_conditions(index))}]}}\n"
        for index in range(100)
    )
    policy_set = _load(f"demur: 1\nnamespace: bench\nactions:\n  act: {{arguments: {{{declared}}}}}\nrules:\n{rules}")
    body = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "act", "properties": dict.fromkeys(names, 7)},
        "resource": {"type": "thing", "id": "t-1"},
    }
    return policy_set, _ready(body, policy_set)


def _conditions(index: int) -> list[str]:
    """Four products of neighbouring arguments, each of which must leave a remainder that is hard to meet."""
    return [
        f"{{name: c{at}, expr: 'action.a{at} * action.a{(at + 1) % _WORST} % {97 + index} == {at + 80}', explain: x}}"
        for at in range(index % 9, index % 9 + 4)
    ]


def _load(text: str) -> PolicySet:
    zones = TzdataZones()
    policy_set = PolicySet.build(loading.load([parse(text.encode(), "bench.yaml")], zones.is_zone), zones)
    policy_set.warm()
    return policy_set


def _ready(body: bytes | dict[str, object], policy_set: PolicySet) -> Facts:
    request = intake.read(body, policy_set.schema, caller=Caller())
    return resolution.resolve(request, policy_set.schema, {}, SystemClock().now())
