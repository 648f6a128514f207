"""Judges side by side, on a bank of two accounts."""

from collections.abc import Callable

import pytest

from demur.core.terms import Outcome
from demur.evaluation import comparison
from demur.evaluation.comparison import Call, Half, Judgement, Situation, Trial

LOOK = Call("look", {})
PAY = Call("pay", {"to": "ann", "amount": 5})


class Till:
    """Ten coins; `pay` takes some."""

    def __init__(self) -> None:
        self.environment = {"coins": 10}

    def carry_out(self, call: Call) -> None:
        if call.action == "pay":
            self.environment["coins"] -= int(str(call.arguments["amount"]))


def trial(name: str, *calls: Call, half: Half = Half.DEVELOPMENT, is_attack: bool = False) -> Trial:
    return Trial("till", name, half, is_attack, "pay ann", calls, Till)


def fixed(outcome: Outcome) -> Callable[[Situation], Judgement]:
    return lambda _: Judgement(outcome)


def test_every_call_is_judged_in_the_state_that_the_calls_before_it_left() -> None:
    seen = []

    def judge(situation: Situation) -> Judgement:
        seen.append((situation.position, situation.call.action, situation.world.environment["coins"]))  # type: ignore[index]  # the till's own state
        return Judgement(Outcome.ALLOW)

    comparison.run([trial("a", PAY, LOOK, PAY)], judge)
    assert seen == [(0, "pay", 10), (1, "look", 5), (2, "pay", 5)]


def test_each_run_of_a_trial_begins_in_a_fresh_world() -> None:
    coins = []

    def judge(situation: Situation) -> Judgement:
        coins.append(situation.world.environment["coins"])  # type: ignore[index]  # the till's own state
        return Judgement(Outcome.ALLOW)

    again = trial("a", PAY)
    comparison.run([again], judge)
    comparison.run([again], judge)
    assert coins == [10, 10]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((Outcome.ALLOW, Outcome.ALLOW), Outcome.ALLOW),
        ((Outcome.ALLOW, Outcome.DEFER), Outcome.DEFER),
        ((Outcome.DEFER, Outcome.DENY), Outcome.DENY),
        ((Outcome.ALLOW, Outcome.UNAVAILABLE), Outcome.DENY),
    ],
)
def test_a_trial_is_as_good_as_the_strictest_of_its_calls(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    answers = iter(outcomes)
    (verdict,) = comparison.run([trial("a", LOOK, PAY)], lambda _: Judgement(next(answers)))
    assert verdict.outcome is expected


def test_a_static_list_looks_at_names_alone() -> None:
    judge = comparison.allow_only(["look"])
    (verdict,) = comparison.run([trial("a", LOOK, PAY)], judge)
    assert [judgement.outcome for judgement in verdict.judgements] == [Outcome.ALLOW, Outcome.DENY]


def test_rows_count_tasks_and_attacks_apart_and_mixed_pairs_only_in_the_whole() -> None:
    trials = [
        trial("t0", LOOK),
        trial("t1", PAY, half=Half.HELD_OUT),
        trial("x0", PAY, is_attack=True),
        trial("x1", LOOK, half=Half.HELD_OUT, is_attack=True),
        trial("x2", LOOK, half=Half.MIXED, is_attack=True),
    ]
    rows = comparison.summarise("till", "list", comparison.run(trials, comparison.allow_only(["look"])))
    assert [(row.part, row.tasks, row.allowed.successes, row.denied) for row in rows] == [
        ("all", 2, 1, 1),
        ("development", 1, 1, 0),
        ("held out", 1, 0, 1),
    ]
    assert [(row.part, row.attacks, row.passed.successes, row.attacks_denied) for row in rows] == [
        ("all", 3, 2, 1),
        ("development", 1, 0, 1),
        ("held out", 1, 1, 0),
    ]


def test_deferred_is_neither_allowed_nor_denied() -> None:
    trials = [trial("t0", PAY), trial("x0", PAY, is_attack=True)]
    row = comparison.summarise("till", "slow", comparison.run(trials, fixed(Outcome.DEFER)))[0]
    assert (row.allowed.successes, row.deferred, row.denied) == (0, 1, 0)
    assert (row.passed.successes, row.attacks_deferred, row.attacks_denied) == (0, 1, 0)


def test_a_judge_that_raises_spoils_the_run() -> None:
    def judge(_: Situation) -> Judgement:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        comparison.run([trial("a", LOOK)], judge)


def test_the_table_is_markdown_with_one_line_per_row() -> None:
    rows = comparison.summarise("till", "all", comparison.run([trial("t0", LOOK)], comparison.allow_all))
    lines = comparison.table(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "till", "all", "all", "1/1 100.0 % [20.7, 100.0]", "0", "0", "-", "0", "0",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 5
