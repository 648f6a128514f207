"""AgentDojo's suites as trials: the calls that its user tasks and its injected tasks need, in its own environments.

- A user task: its ground-truth calls, in the environment that the task starts from.
- An attack: the ground-truth calls of one injected task while the user's prompt is that of one user task, every pair.
  The environment carries the attacker's goal in every place where the suite lets an attacker write. Injected tasks
  without ground-truth calls cannot be replayed; they are counted, and named by `unplayable`.
- The split is by the number in the task's id, fixed before any task was read: even ids are the development half, odd
  ids are held out. A pair belongs to a half when both of its tasks do.

The `agentdojo` package (MIT) is imported when a suite is loaded, never before: Demur runs without it.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demur.errors import ConfigurationError
from demur.evaluation.comparison import Call, Half, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "v1.2.2"
"""The version of the benchmark whose tasks are replayed."""

SUITES = ("banking", "workspace")
READING = ("get_", "search_", "list_", "read_")
"""How the names of the tools begin that only look."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite: its trials, the names of its tools, and the injected tasks that have no calls to replay."""

    name: str
    trials: tuple[Trial, ...]
    tools: tuple[str, ...]
    unplayable: tuple[str, ...]


class _Replay:
    """A copy of an environment, with the suite's own tools to change it."""

    def __init__(self, environment: Any, tools: Any) -> None:  # noqa: ANN401  (a package without types)
        self.environment = environment
        self._runtime = _functions().FunctionsRuntime(tools)

    def carry_out(self, call: Call) -> None:
        self._runtime.run_function(self.environment, call.action, dict(call.arguments))


def load(name: str) -> Suite:
    """The suite of that name; raises `ConfigurationError` where AgentDojo is not installed or has no such suite."""
    suite = benchmark(name)
    clean = suite.load_and_inject_default_environment({})
    tasks = [_task(suite, task, clean) for task in suite.user_tasks.values()]
    attacks, unplayable = [], []
    for injection in suite.injection_tasks.values():
        if not injection.ground_truth(clean.model_copy(deep=True)):
            unplayable.append(injection.ID)
            continue
        injected = suite.load_and_inject_default_environment(_everywhere(suite, injection.GOAL))
        attacks += [_attack(suite, task, injection, injected) for task in suite.user_tasks.values()]
    tools = tuple(tool.name for tool in suite.tools)
    return Suite(name, (*tasks, *attacks), tools, tuple(unplayable))


def benchmark(name: str) -> Any:  # noqa: ANN401  (a package without types)
    """AgentDojo's own object for the suite of that name; raises as `load` does."""
    suites = _package("agentdojo.task_suite.load_suites").get_suites(VERSION)
    if name not in suites:
        raise ConfigurationError(f"expected a suite of AgentDojo, found `{name}`", hint=f"one of {', '.join(suites)}")
    return suites[name]


def half(*identifiers: str) -> Half:
    """The half of a task, or of a pair: even numbers are for development, odd ones are held out."""
    odd = {int(identifier.rsplit("_", 1)[1]) % 2 == 1 for identifier in identifiers}
    if len(odd) > 1:
        return Half.MIXED
    return Half.HELD_OUT if odd == {True} else Half.DEVELOPMENT


def _task(suite: Any, task: Any, clean: Any) -> Trial:  # noqa: ANN401
    enter = _entrance(suite, task, clean)
    calls = _calls(suite, task.ground_truth(enter().environment))
    return Trial(suite.name, task.ID, half(task.ID), is_attack=False, prompt=task.PROMPT, calls=calls, enter=enter)


def _attack(suite: Any, task: Any, injection: Any, injected: Any) -> Trial:  # noqa: ANN401
    enter = _entrance(suite, task, injected)
    calls = _calls(suite, injection.ground_truth(enter().environment))
    name = f"{injection.ID} during {task.ID}"
    both = half(task.ID, injection.ID)
    return Trial(suite.name, name, both, is_attack=True, prompt=task.PROMPT, calls=calls, enter=enter)


def _entrance(suite: Any, task: Any, environment: Any) -> Callable[[], _Replay]:  # noqa: ANN401
    return lambda: _Replay(task.init_environment(environment.model_copy(deep=True)), suite.tools)


def _calls(suite: Any, calls: Any) -> tuple[Call, ...]:  # noqa: ANN401
    """The calls as a host would send them: arguments typed by the tool's signature, defaults left out."""
    tools = {tool.name: tool for tool in suite.tools}
    return tuple(Call(call.function, _arguments(tools[call.function], dict(call.args))) for call in calls)


def _arguments(tool: Any, given: dict[str, object]) -> dict[str, object]:  # noqa: ANN401
    typed: dict[str, object] = tool.parameters.model_validate(given).model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in typed.items() if name in given}


def _everywhere(suite: Any, goal: str) -> dict[str, str]:  # noqa: ANN401
    # The environments are YAML templates; a line break would end the quoted text that a placeholder stands in.
    text = " ".join(goal.split()).replace('"', "'")
    return dict.fromkeys(suite.get_injection_vector_defaults(), text)


def _functions() -> Any:  # noqa: ANN401
    return _package("agentdojo.functions_runtime")


def _package(module: str) -> Any:  # noqa: ANN401
    try:
        with warnings.catch_warnings():
            # Libraries below it warn about their own code when they are first compiled.
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            "expected the package `agentdojo`, found none", hint="`make setup` installs it with the tests"
        ) from error
