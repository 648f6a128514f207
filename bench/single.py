"""What one request costs beyond deciding: reading its bytes, and explaining a refusal."""

from __future__ import annotations

from bench import policies, workload
from bench.engines import Demur
from bench.table import Table, verdict
from bench.timing import interleaved
from demur.adapters.clock import SystemClock
from demur.core import intake, resolution
from demur.core.decision import Decision, decide, explain
from demur.core.intake import Caller
from demur.core.refusal import refuse
from demur.core.terms import Outcome


def table(*, rounds: int, seconds: float) -> Table:
    """Bytes to Decision with 1,000 rules; an explained refusal with 100 rules on the action."""
    spread, crowded = _spread(), _crowded()
    policy_set = crowded[0].policies
    times = interleaved(
        {
            "bytes to Decision, 1,000 rules over 50 actions": spread,
            "decide and explain the determining rules, 100 rules on the action": (
                lambda facts: explain(facts, policy_set, found := decide(facts, policy_set), found.determining),
                crowded[1],
            ),
            "decide and explain all 100 rules": (
                lambda facts: explain(facts, policy_set, decide(facts, policy_set)),
                crowded[1],
            ),
            "decide and build the refusal, 100 rules on the action": (
                lambda facts: refuse(decide(facts, policy_set)),
                crowded[1],
            ),
        },
        rounds=rounds,
        seconds=seconds,
    )
    made = Table("one request, no store (microseconds)", ["p50", "p99 of the best round", "target"])
    targets = {"bytes to Decision, 1,000 rules over 50 actions": 80.0}
    for name, found in times.items():
        target = verdict(found.p50, targets[name], "us") if name in targets else ""
        made.add(name, found.p50, found.p99, target)
    made.notes.append("bytes to Decision is intake.read, resolution.fill and decide, digests included")
    return made


def _spread() -> tuple[object, list[bytes]]:
    policy_set = policies.load(workload.rules(1_000))
    policy_set.warm()
    schema, layout = policy_set.schema, resolution.Layout.of(policy_set.schema)
    caller, now = Caller(), SystemClock().now()

    def run(raw: bytes) -> Decision:
        request = intake.read(raw, schema, caller=caller)
        return decide(resolution.fill(request, layout, {}, now), policy_set)

    return run, [policies.body(request) for request in workload.requests(200)]


def _crowded() -> tuple[Demur, list[object]]:
    engine = Demur(workload.rules(100, actions=1), actions=1)
    ready = [engine.ready(request) for request in workload.requests(500, actions=1)]
    return engine, [facts for facts in ready if decide(facts, engine.policies).outcome is Outcome.DENY]
