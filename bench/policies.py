"""The workload as Demur's own documents and requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.workload import ACTIONS
from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core.policy import load as loading
from demur.core.policy.index import PolicySet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.workload import Request, Rule

_HEAD = """demur: 1
namespace: bench
facts:
  subject.roles: list<string>
  context.minute: int
"""
_RULE = """  - id: {id}
    effect: {effect}
    actions: [{action}]
    description: one of many
    when:
      - {{name: amount, expr: 'action.amount {op} {limit}', explain: the amount fits}}
      - {{name: role, expr: '"{role}" in subject.roles', explain: the role is held}}
      - {{name: span, expr: 'context.minute >= {start} && context.minute < {end}', explain: the time of day fits}}
"""


def document(rules: Sequence[Rule], *, actions: int = ACTIONS) -> str:
    """One document with these rules."""
    declared = "".join(f"  act{index}: {{arguments: {{amount: int}}}}\n" for index in range(actions))
    stated = "".join(
        _RULE.format(
            id=rule.id,
            effect="forbid" if rule.denies else "permit",
            action=rule.action,
            op=rule.op,
            limit=rule.limit,
            role=rule.role,
            start=rule.start,
            end=rule.end,
        )
        for rule in rules
    )
    return f"{_HEAD}actions:\n{declared}rules:\n{stated}"


def load(rules: Sequence[Rule], *, actions: int = ACTIONS) -> PolicySet:
    """The rules as a set, ready to decide."""
    source = parse(document(rules, actions=actions).encode(), "bench.yaml")
    zones = TzdataZones()
    return PolicySet.build(loading.load([source], zones.is_zone), zones)


def write(folder: Path, rules: Sequence[Rule], *, actions: int = ACTIONS) -> Path:
    """A policy folder with these rules."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.yaml").write_text(document(rules, actions=actions), encoding="utf-8")
    return folder


def body(request: Request, *, number: int | None = None) -> bytes:
    """The request as an AuthZEN evaluation request."""
    asked: dict[str, object] = {
        "subject": {"type": "user", "id": "ann", "properties": {"roles": list(request.roles)}},
        "action": {"name": request.action, "properties": {"amount": request.amount}},
        "resource": {"type": "invoice", "id": "i-1"},
        "context": {"minute": request.minute},
    }
    if number is not None:
        asked["request_id"] = f"bench-{number}"
    return json.dumps(asked).encode()
