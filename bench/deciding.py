"""Facts to a decision: at four sizes, over 50 actions and with every rule on one action, beside peers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from bench import engines, workload
from bench.table import Table, verdict
from bench.timing import interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.engines import Engine
    from bench.timing import Times
    from bench.workload import Rule

SIZES = (10, 100, 1_000, 5_000)
TARGETS = {10: 5.0, 100: 6.0, 1_000: 8.0, 5_000: 12.0}
MAX_GROWTH = 4.0
CHECKED = 60

_MAKERS: dict[str, Callable[[Sequence[Rule], int], Engine]] = {
    "demur": lambda rules, actions: engines.Demur(rules, actions=actions),
    "naive dictionaries": lambda rules, _: engines.Naive(rules),
    "cel-expr-python, fused and sliced here": lambda rules, _: engines.Cel(rules),
    "cedarpy": lambda rules, _: engines.Cedar(rules, sliced=False),
    "cedarpy, sliced by action here": lambda rules, _: engines.Cedar(rules, sliced=True),
    "agent-governance-toolkit-core": lambda rules, _: engines.AgentMesh(rules),
}


class DisagreementError(Exception):
    """An engine answers otherwise than the reference: its time would mean nothing."""


def tables(*, rounds: int, seconds: float) -> list[Table]:
    """One table per spread of the rules."""
    return [
        _table("decide over ready facts, rules spread over 50 actions", workload.ACTIONS, rounds, seconds),
        _table("decide over ready facts, all rules on one action", 1, rounds, seconds),
    ]


def _table(title: str, actions: int, rounds: int, seconds: float) -> Table:
    found: dict[str, dict[int, Times]] = {name: {} for name in _MAKERS}
    for size in SIZES:
        for name, times in _measured(size, actions, rounds, seconds).items():
            found[name][size] = times
    table = Table(
        f"{title} (microseconds, p50 / p99 of the best round)",
        [*(f"{size:,} rules" for size in SIZES), "growth", "times demur at 5,000"],
    )
    ours = found["demur"]
    for name, by_size in found.items():
        cells = [f"{by_size[size].p50:,.1f} / {by_size[size].p99:,.1f}" if size in by_size else None for size in SIZES]
        first, last = by_size.get(SIZES[0]), by_size.get(SIZES[-1])
        growth = f"{last.p50 / first.p50:,.1f}x" if first and last else None
        table.add(name, *cells, growth, f"{last.p50 / ours[SIZES[-1]].p50:,.1f}x" if last else None)
    table.notes += _notes(found, is_spread=actions > 1)
    return table


def _notes(found: dict[str, dict[int, Times]], *, is_spread: bool) -> list[str]:
    ours = found["demur"]
    growth = ours[SIZES[-1]].p50 / ours[SIZES[0]].p50
    notes = [f"every engine agreed with the reference on {CHECKED} requests per size; roles are lists of text"]
    if is_spread:
        met = [f"{size:,}: {verdict(ours[size].p50, TARGETS[size], 'us')}" for size in SIZES]
        notes.append("target p50 " + ", ".join(met))
    notes.append(f"target growth from 10 to 5,000 rules: {growth:.2f}x, {verdict(growth, MAX_GROWTH, 'x')}")
    for size in SIZES:
        best = min((times[size].p50, name) for name, times in found.items() if name != "demur" and size in times)
        notes.append(f"{size:,} rules: next best is {best[1]}, {best[0] / ours[size].p50:.1f}x demur's time")
    return notes


def _measured(size: int, actions: int, rounds: int, seconds: float) -> dict[str, Times]:
    rules = workload.rules(size, actions=actions)
    requests = workload.requests(200, actions=min(actions, size))
    expected = [workload.reference(rules, request) for request in requests[:CHECKED]]
    calls: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {}
    for name, make in _MAKERS.items():
        try:
            engine = make(rules, actions)
        except ImportError as error:
            print(f"{name} is missing: {error}", file=sys.stderr)
            continue
        ready = [engine.ready(request) for request in requests]
        answers = [engine.allows(engine.ask(item)) for item in ready[:CHECKED]]
        if answers != expected:
            wrong = sum(one != other for one, other in zip(answers, expected, strict=True))
            raise DisagreementError(f"{name} disagrees on {wrong} of {CHECKED} requests at {size} rules")
        calls[name] = (engine.ask, ready)
    return interleaved(calls, rounds=rounds, seconds=seconds)
