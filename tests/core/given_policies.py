"""Policies from text, and decisions over them, for tests of what follows a decision."""

from __future__ import annotations

from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core import intake, resolution
from demur.core.decision import Decision, decide
from demur.core.intake import Caller
from demur.core.policy.index import PolicySet
from demur.core.policy.load import load
from demur.core.resolution import Learned
from demur.core.terms import State, Timestamp, parse_timestamp

NOW: Timestamp = parse_timestamp("2026-11-20T09:00:00Z")
ZONES = TzdataZones()


def policies(text: str) -> PolicySet:
    """The policies of one document."""
    return PolicySet.build(load([parse(text.encode(), "test.yaml")], ZONES.is_zone), ZONES)


def decided(policy_set: PolicySet, body: dict[str, object], learned: dict[str, State] | None = None) -> Decision:
    """The decision about one request with these resolved facts."""
    request = intake.read(body, policy_set.schema, caller=Caller())
    known = {path: Learned(state, NOW) for path, state in (learned or {}).items()}
    return decide(resolution.resolve(request, policy_set.schema, known, NOW), policy_set)
