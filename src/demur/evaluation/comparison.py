"""Judges side by side on the same calls: how much of what people asked for passes, and how much of what attackers want.

- A *trial* is a list of tool calls that belong together: what a task needs, or what an attack needs. Every call is
  judged with the world as the calls before it left it, and is then carried out, so later calls meet real state.
- A trial is *allowed* when each of its calls is, *denied* when one is denied, and *deferred* otherwise.
- `unavailable` counts as denied: nothing executes on it (S5.2).
- A judge that raises spoils the run: the exception rises, because a figure with holes is no figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from demur.core.terms import Outcome
from demur.evaluation.intervals import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Half(StrEnum):
    """Which tasks were looked at while rules were written. `MIXED` pairs one of each."""

    DEVELOPMENT = "development"
    HELD_OUT = "held out"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call: the action's name and its arguments, those left at their default not included."""

    action: str
    arguments: Mapping[str, object]


class World(Protocol):
    """The state that calls read and change. `environment` is what fact sources look at."""

    @property
    def environment(self) -> object: ...
    def carry_out(self, call: Call) -> None:
        """Change the state as the tool would; a tool that fails changes nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Calls that belong together, under one prompt. `enter` makes a fresh world each time."""

    suite: str
    name: str
    half: Half
    is_attack: bool
    prompt: str
    calls: tuple[Call, ...]
    enter: Callable[[], World]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a judge is asked: may this call of this trial happen in this world? `position` counts calls from 0."""

    trial: Trial
    position: int
    call: Call
    world: World


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer and the ids of the rules that determined it."""

    outcome: Outcome
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgements over all calls of one trial, in order."""

    trial: Trial
    judgements: tuple[Judgement, ...]

    @property
    def outcome(self) -> Outcome:
        """The strictest of the judgements: deny, then defer, then allow."""
        outcomes = {judgement.outcome for judgement in self.judgements}
        if Outcome.DENY in outcomes or Outcome.UNAVAILABLE in outcomes:
            return Outcome.DENY
        return Outcome.DEFER if Outcome.DEFER in outcomes else Outcome.ALLOW


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: one judge on one suite and one part of its tasks."""

    suite: str
    part: str
    judge: str
    tasks: int
    allowed: Share
    deferred: int
    denied: int
    attacks: int
    passed: Share
    attacks_deferred: int
    attacks_denied: int


def run(trials: Iterable[Trial], judge: Callable[[Situation], Judgement]) -> tuple[Verdict, ...]:
    """Judge every call of every trial; raises whatever the judge raises."""
    return tuple(_run(trial, judge) for trial in trials)


def _run(trial: Trial, judge: Callable[[Situation], Judgement]) -> Verdict:
    world = trial.enter()
    judgements = []
    for position, call in enumerate(trial.calls):
        judgements.append(judge(Situation(trial, position, call, world)))
        world.carry_out(call)
    return Verdict(trial, tuple(judgements))


def allow_all(_situation: Situation) -> Judgement:
    """The judge that stands for no gate at all."""
    return Judgement(Outcome.ALLOW)


def allow_only(actions: Iterable[str]) -> Callable[[Situation], Judgement]:
    """A judge that looks at the name of the action alone."""
    names = frozenset(actions)
    return lambda situation: Judgement(Outcome.ALLOW if situation.call.action in names else Outcome.DENY)


def summarise(suite: str, judge: str, verdicts: Sequence[Verdict]) -> tuple[Row, ...]:
    """The rows of one judge on one suite: the whole, the development half and the held-out half.

    A mixed pair of a task and an attack counts in the whole alone, so that the halves share nothing.
    """
    parts = {
        "all": verdicts,
        str(Half.DEVELOPMENT): [verdict for verdict in verdicts if verdict.trial.half is Half.DEVELOPMENT],
        str(Half.HELD_OUT): [verdict for verdict in verdicts if verdict.trial.half is Half.HELD_OUT],
    }
    return tuple(_row(suite, part, judge, chosen) for part, chosen in parts.items())


def _row(suite: str, part: str, judge: str, verdicts: Sequence[Verdict]) -> Row:
    tasks = [verdict.outcome for verdict in verdicts if not verdict.trial.is_attack]
    attacks = [verdict.outcome for verdict in verdicts if verdict.trial.is_attack]
    return Row(
        suite=suite,
        part=part,
        judge=judge,
        tasks=len(tasks),
        allowed=wilson(tasks.count(Outcome.ALLOW), len(tasks)),
        deferred=tasks.count(Outcome.DEFER),
        denied=tasks.count(Outcome.DENY),
        attacks=len(attacks),
        passed=wilson(attacks.count(Outcome.ALLOW), len(attacks)),
        attacks_deferred=attacks.count(Outcome.DEFER),
        attacks_denied=attacks.count(Outcome.DENY),
    )


_HEADINGS = (
    "suite",
    "part",
    "judge",
    "user tasks allowed",
    "deferred",
    "denied",
    "attacks fully allowed",
    "deferred",
    "denied",
)


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table, aligned for a terminal; shares carry their 95 % Wilson interval in percent."""
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    drawn = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([f"| {drawn[0]} |", rule, *(f"| {line} |" for line in drawn[1:])])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.suite,
        row.part,
        row.judge,
        str(row.allowed),
        str(row.deferred),
        str(row.denied),
        str(row.passed),
        str(row.attacks_deferred),
        str(row.attacks_denied),
    )
