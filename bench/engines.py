"""One engine per class: how it states the rules, what a ready request is to it, and how it is asked."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Protocol

from bench import policies
from bench.workload import ACTIONS, ROLES
from demur.adapters.clock import SystemClock
from demur.core import intake, resolution
from demur.core.decision import decide
from demur.core.intake import Caller
from demur.core.terms import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.workload import Request, Rule
    from demur.core.decision import Decision
    from demur.core.resolution import Facts


class Engine(Protocol):
    """An engine loaded with rules. `ready` is outside the measured time, `ask` is what is measured."""

    name: str

    def ready(self, request: Request) -> Any: ...
    def ask(self, ready: Any) -> Any: ...
    def allows(self, answer: Any) -> bool: ...


class Demur:
    """The product: outcome, category, determining rules and missing facts, over a row of ready facts."""

    name = "demur"

    def __init__(self, rules: Sequence[Rule], *, actions: int = ACTIONS) -> None:
        self.policies = policies.load(rules, actions=actions)
        self._layout = resolution.Layout.of(self.policies.schema)
        self._now = SystemClock().now()
        self.policies.warm()

    def ready(self, request: Request) -> Facts:
        read = intake.read(policies.body(request), self.policies.schema, caller=Caller())
        return resolution.fill(read, self._layout, {}, self._now)

    def ask(self, ready: Facts) -> Decision:
        return decide(ready, self.policies)

    def allows(self, answer: Decision) -> bool:
        return answer.outcome is Outcome.ALLOW


class Naive:
    """Every rule, every condition, as dictionaries: what one writes in an hour."""

    name = "naive dictionaries"

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [
            {
                "effect": "deny" if rule.denies else "allow",
                "all": [
                    {"fact": "action", "op": "==", "value": rule.action},
                    {"fact": "amount", "op": rule.op, "value": rule.limit},
                    {"fact": "roles", "op": "contains", "value": rule.role},
                    {"fact": "minute", "op": "between", "value": (rule.start, rule.end)},
                ],
            }
            for rule in rules
        ]
        self._ops: dict[str, Callable[[Any, Any], bool]] = {
            "==": lambda fact, value: fact == value,
            "<=": lambda fact, value: fact <= value,
            ">=": lambda fact, value: fact >= value,
            "contains": lambda fact, value: value in fact,
            "between": lambda fact, value: value[0] <= fact < value[1],
        }

    def ready(self, request: Request) -> dict[str, Any]:
        return {
            "action": request.action,
            "amount": request.amount,
            "roles": list(request.roles),
            "minute": request.minute,
        }

    def ask(self, ready: dict[str, Any]) -> bool:
        is_allowed, ops = False, self._ops
        for rule in self._rules:
            for condition in rule["all"]:
                if not ops[condition["op"]](ready[condition["fact"]], condition["value"]):
                    break
            else:
                if rule["effect"] == "deny":
                    return False
                is_allowed = True
        return is_allowed

    def allows(self, answer: Any) -> bool:
        return bool(answer)


class Cedar:
    """cedarpy with a parsed policy set; `sliced` keeps one set per action, which Cedar itself does not."""

    def __init__(self, rules: Sequence[Rule], *, sliced: bool) -> None:
        import cedarpy

        self.name = "cedarpy, sliced by action here" if sliced else "cedarpy"
        self._is_authorized = cedarpy.is_authorized
        self._entities = cedarpy.Entities.from_json_str("[]")
        groups: dict[str, list[Rule]] = {}
        for rule in rules:
            groups.setdefault(rule.action if sliced else "", []).append(rule)
        self._sets = {
            action: cedarpy.PolicySet.from_str("\n".join(map(self._text, group))) for action, group in groups.items()
        }
        self._empty = cedarpy.PolicySet.from_str("")
        self._sliced = sliced

    @staticmethod
    def _text(rule: Rule) -> str:
        return (
            f'{"forbid" if rule.denies else "permit"}(principal, action == Action::"{rule.action}", resource) when {{ '
            f'context.amount {rule.op} {rule.limit} && context.roles.contains("{rule.role}") '
            f"&& context.minute >= {rule.start} && context.minute < {rule.end} }};"
        )

    def ready(self, request: Request) -> Any:
        body = {
            "principal": {"type": "User", "id": "ann"},
            "action": {"type": "Action", "id": request.action},
            "resource": {"type": "Invoice", "id": "i"},
            "context": {"amount": request.amount, "roles": list(request.roles), "minute": request.minute},
        }
        return body, self._sets.get(request.action if self._sliced else "", self._empty)

    def ask(self, ready: Any) -> Any:
        return self._is_authorized(ready[0], ready[1], self._entities)

    def allows(self, answer: Any) -> bool:
        return bool(answer.allowed)


class Cel:
    """cel-expr-python at its fastest: flat typed variables, one program of all conditions per action, sliced here."""

    name = "cel-expr-python, fused and sliced here"
    _CHUNK = 500

    def __init__(self, rules: Sequence[Rule]) -> None:
        from cel_expr_python import cel

        types = cel.Type
        self._env = cel.NewEnv(variables={"amount": types.INT, "roles": types.List(types.STRING), "minute": types.INT})
        groups: dict[str, list[Rule]] = {}
        for rule in rules:
            groups.setdefault(rule.action, []).append(rule)
        self._programs = {action: self._compile(group) for action, group in groups.items()}

    def _compile(self, group: list[Rule]) -> list[tuple[Any, list[bool]]]:
        programs = []
        for at in range(0, len(group), self._CHUNK):
            chunk = group[at : at + self._CHUNK]
            conditions = (
                f'amount {rule.op} {rule.limit} && "{rule.role}" in roles && '
                f"minute >= {rule.start} && minute < {rule.end}"
                for rule in chunk
            )
            text = f"[{', '.join(conditions)}]"
            programs.append((self._env.compile(text), [rule.denies for rule in chunk]))
        return programs

    def ready(self, request: Request) -> Any:
        facts = {"amount": request.amount, "roles": list(request.roles), "minute": request.minute}
        return facts, self._programs.get(request.action, [])

    def ask(self, ready: Any) -> bool:
        facts, programs = ready
        activation = self._env.Activation(facts)
        is_allowed = False
        for program, denies in programs:
            for holds, denied in zip(program.eval(activation).plain_value(), denies, strict=False):
                if holds:
                    if denied:
                        return False
                    is_allowed = True
        return is_allowed

    def allows(self, answer: Any) -> bool:
        return bool(answer)


class AgentMesh:
    """agentmesh's PolicyEngine (agent-governance-toolkit-core); its conditions need each role as a boolean."""

    name = "agent-governance-toolkit-core"

    def __init__(self, rules: Sequence[Rule]) -> None:
        logging.getLogger("agentmesh").setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from agentmesh.governance.policy import Policy, PolicyEngine, PolicyRule
        self._engine = PolicyEngine(conflict_strategy="deny_overrides")
        stated = [
            PolicyRule(name=rule.id, condition=self._text(rule), action="deny" if rule.denies else "allow")
            for rule in rules
        ]
        self._engine.load_policy(Policy(name="bench", agents=["*"], rules=stated, default_action="deny"))

    @staticmethod
    def _text(rule: Rule) -> str:
        return (
            f"action.type == '{rule.action}' and amount {rule.op} {rule.limit} and roles.{rule.role} "
            f"and minute >= {rule.start} and minute < {rule.end}"
        )

    def ready(self, request: Request) -> dict[str, Any]:
        return {
            "action": {"type": request.action},
            "amount": request.amount,
            "roles": {role: role in request.roles for role in ROLES},
            "minute": request.minute,
        }

    def ask(self, ready: dict[str, Any]) -> Any:
        return self._engine.evaluate("did:bench:agent", ready)

    def allows(self, answer: Any) -> bool:
        return bool(answer.allowed)


def versions() -> dict[str, str]:
    """The versions of everything measured."""
    from importlib import metadata

    names = ("demur", "cedarpy", "cel-expr-python", "agent-governance-toolkit-core", "witness-log", "msgspec")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
