"""Three-valued truth: a deciding operand wins, then what is unknown, then what failed (S2.1, S3.2)."""

from __future__ import annotations

import pytest

from demur.core.cel import Fault, Result, Unknown
from demur.core.terms import Duration, Missing, State
from tests.core.cel.given import evaluate

UNKNOWN = Unknown(("resource.consent",))
FAULT = Fault("division by zero")
BROKEN = "(1 / 0 == 1)"
"""A part that fails."""
HIDDEN = "resource.consent"
"""A part that is unknown."""
PARTS: dict[str, tuple[str, Result]] = {
    "true": ("(1 == 1)", True),
    "false": ("(1 == 2)", False),
    "unknown": (HIDDEN, UNKNOWN),
    "fault": (BROKEN, FAULT),
}
AND = {
    ("true", "true"): True, ("true", "false"): False, ("true", "unknown"): UNKNOWN, ("true", "fault"): FAULT,
    ("false", "false"): False, ("false", "unknown"): False, ("false", "fault"): False,
    ("unknown", "unknown"): UNKNOWN, ("unknown", "fault"): UNKNOWN, ("fault", "fault"): FAULT,
}  # fmt: skip
OR = {
    ("true", "true"): True, ("true", "false"): True, ("true", "unknown"): True, ("true", "fault"): True,
    ("false", "false"): False, ("false", "unknown"): UNKNOWN, ("false", "fault"): FAULT,
    ("unknown", "unknown"): UNKNOWN, ("unknown", "fault"): UNKNOWN, ("fault", "fault"): FAULT,
}  # fmt: skip
GIVEN: dict[str, State] = {"resource.consent": Missing.UNKNOWN}


@pytest.mark.parametrize(("op", "table"), [("&&", AND), ("||", OR)])
@pytest.mark.parametrize("pair", AND)
def test_the_connectives_are_kleenes_in_either_order(
    op: str, table: dict[tuple[str, str], Result], pair: tuple[str, str]
) -> None:
    left, right = PARTS[pair[0]][0], PARTS[pair[1]][0]
    assert evaluate(f"{left} {op} {right}", GIVEN) == table[pair]
    assert evaluate(f"{right} {op} {left}", GIVEN) == table[pair]


@pytest.mark.parametrize(("op", "table", "neutral"), [("&&", AND, "true"), ("||", OR, "false")])
@pytest.mark.parametrize("pair", AND)
def test_a_longer_chain_agrees_with_a_short_one(
    op: str, table: dict[tuple[str, str], Result], neutral: str, pair: tuple[str, str]
) -> None:
    parts = [PARTS[neutral][0], PARTS[pair[0]][0], PARTS[neutral][0], PARTS[pair[1]][0]]
    assert evaluate(f" {op} ".join(parts), GIVEN) == table[pair]
    assert evaluate(f" {op} ".join(reversed(parts)), GIVEN) == table[pair]


@pytest.mark.parametrize(("part", "value"), [("true", False), ("false", True), ("unknown", UNKNOWN), ("fault", FAULT)])
def test_negation_turns_what_is_definite(part: str, value: Result) -> None:
    assert evaluate(f"!{PARTS[part][0]}", GIVEN) == value


@pytest.mark.parametrize(("condition", "value"), [("true", 1), ("false", 2), ("unknown", UNKNOWN), ("fault", FAULT)])
def test_a_choice_needs_its_condition(condition: str, value: Result) -> None:
    assert evaluate(f"{PARTS[condition][0]} ? 1 : 2", GIVEN) == value


@pytest.mark.parametrize("op", ["&&", "||"])
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_every_operand_of_a_chain_of_three_counts(op: str, odd: int) -> None:
    neutral, deciding = ("action.amount == 100", "action.amount == 99")
    if op == "||":
        neutral, deciding = deciding, neutral
    parts = [deciding if place == odd else neutral for place in range(3)]
    assert evaluate(f" {op} ".join(parts)) is (op == "||")
    assert evaluate(f" {op} ".join([neutral] * 3)) is (op == "&&")


def test_what_is_chosen_may_be_a_fact() -> None:
    assert evaluate("action.dry ? action.amount : resource.counts[1]") == 2
    assert evaluate("!action.dry ? action.amount : resource.counts[1]") == 100


@pytest.mark.parametrize("text", ['{"a": 1 / 0}', '{1 / 0: "a"}', "[1, 1 / 0]", "[1 / 0]"])
def test_a_literal_is_strict_in_every_part(text: str) -> None:
    assert evaluate(text) == FAULT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": action.amount}', {"a": 100}),
        ("{subject.role: action.amount}", {"clerk": 100}),
        ('{"a": resource.consent}', UNKNOWN),
        ('{"a": resource.consent, string(1 / 0): true}', UNKNOWN),
        ("[action.amount, 1]", [100, 1]),
        ('"clerk" in subject.roles', True),
        ('"boss" in subject.roles', False),
        ("2 in resource.counts", True),
        ("4 in resource.counts", False),
        ('subject.role in ["clerk", "boss"]', True),
        ('subject.role in ["boss"]', False),
        ("action.rate in [1.5, 2.5]", True),
        ("action.amount in [1, action.amount]", True),
    ],
)
def test_facts_within_literals_and_lists(text: str, value: Result) -> None:
    assert evaluate(text, GIVEN) == value


def test_a_choice_evaluates_only_the_branch_it_takes() -> None:
    assert evaluate(f"1 == 1 ? 1 == 1 : {BROKEN}") is True
    assert evaluate("1 == 2 ? resource.consent : 1 == 1", GIVEN) is True


def test_a_strict_operator_names_every_missing_fact_once_and_in_order() -> None:
    given: dict[str, State] = {"resource.note": Missing.UNKNOWN, "action.amount": Missing.UNKNOWN}
    found = evaluate("resource.note + string(action.amount) + resource.note", given)
    assert found == Unknown(("action.amount", "resource.note"))


def test_the_connectives_name_every_fact_they_hang_on() -> None:
    given: dict[str, State] = {"action.dry": Missing.UNKNOWN, "resource.consent": Missing.UNKNOWN}
    assert evaluate("resource.consent && action.dry", given) == Unknown(("action.dry", "resource.consent"))


def test_in_a_strict_operator_the_unknown_decides_before_the_fault() -> None:
    assert evaluate("(1 / 0) + action.amount == 1", {"action.amount": Missing.UNKNOWN}) == Unknown(("action.amount",))


@pytest.mark.parametrize(
    "text", ["[1 / 0, action.amount]", "{1: 1 / 0, action.amount: 2}", "[1 / 0, 2][action.amount]"]
)
def test_literals_and_indexing_are_strict(text: str) -> None:
    assert evaluate(text, {"action.amount": Missing.UNKNOWN}) == Unknown(("action.amount",))


def test_of_two_faults_the_first_is_told() -> None:
    assert evaluate("(1 / 0 == 1) && (1 % 0 == 1)") == Fault("division by zero")


@pytest.mark.parametrize(
    ("state", "value"), [("x", True), (Missing.ABSENT, False), (Missing.UNKNOWN, Unknown(("resource.note",)))]
)
def test_has_tells_absent_from_unknown(state: State, value: Result) -> None:
    """S2.1."""
    assert evaluate("has(resource.note)", {"resource.note": state}) == value


@pytest.mark.parametrize(
    "text",
    [
        "resource.note", 'resource.note == "x"', 'resource.note != "x"', 'resource.note < "x"', 'resource.note <= "x"',
        'resource.note > "x"', 'resource.note >= "x"', '"x" == resource.note', 'resource.note in ["x"]',
        'resource.note.startsWith("x")', "resource.note in subject.roles", "size(resource.note)",
    ],
)  # fmt: skip
def test_reading_an_absent_fact_fails_and_an_unknown_one_stays_unknown(text: str) -> None:
    """S2.1."""
    assert evaluate(text, {"resource.note": Missing.ABSENT}) == Fault("`resource.note` is absent")
    assert evaluate(text, {"resource.note": Missing.UNKNOWN}) == Unknown(("resource.note",))


def test_a_constant_looked_for_in_a_missing_list() -> None:
    assert evaluate('"x" in subject.roles', {"subject.roles": Missing.UNKNOWN}) == Unknown(("subject.roles",))
    assert evaluate('"x" in subject.roles', {"subject.roles": Missing.ABSENT}) == Fault("`subject.roles` is absent")


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("amount", [4, 5, 6])
def test_a_constant_on_either_side_compares_alike(op: str, amount: int) -> None:
    mirror = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
    given: dict[str, State] = {"action.amount": amount}
    wanted = {
        "<": amount < 5,
        "<=": amount <= 5,
        ">": amount > 5,
        ">=": amount >= 5,
        "==": amount == 5,
        "!=": amount != 5,
    }
    assert evaluate(f"action.amount {op} 5", given) is wanted[op]
    assert evaluate(f"5 {mirror} action.amount", given) is wanted[op]
    assert evaluate(f"action.amount {op} (4 + 1)", given) is wanted[op]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("resource.counts.all(c, c > 0)", True),
        ("resource.counts.all(c, c > 1)", False),
        ("resource.counts.all(c, 6 / (c - 1) > 9)", False),
        ("resource.counts.all(c, 6 / (c - 1) > 0)", Fault("division by zero")),
        ("resource.counts.exists(c, 6 / (c - 1) == 3)", True),
        ("resource.counts.exists(c, 6 / (c - 1) == 99)", Fault("division by zero")),
        ("resource.counts.all(c, resource.consent)", UNKNOWN),
        ("resource.counts.all(c, resource.consent && c > 1)", False),
        ("resource.counts.exists(c, resource.consent || c > 2)", True),
        ("resource.counts.exists(c, resource.consent && 1 / (c - 1) == 0)", UNKNOWN),
        ("resource.counts.exists_one(c, c > 2)", True),
        ("resource.counts.exists_one(c, c > 1)", False),
        ("resource.counts.exists_one(c, c > 3)", False),
        ("resource.counts.exists_one(c, c > 2 || 1 / (c - 1) == 7)", Fault("division by zero")),
        ("resource.counts.exists_one(c, resource.consent)", UNKNOWN),
        ("resource.counts.exists_one(c, 1 / (c - 1) > 0 && resource.consent)", UNKNOWN),
        ("resource.counts.filter(c, c > 1)", [2, 3]),
        ("resource.counts.filter(c, 1 / (c - 1) > 0)", Fault("division by zero")),
        ("resource.counts.filter(c, resource.consent)", UNKNOWN),
        ("resource.counts.map(c, c * 2)", [2, 4, 6]),
        ("resource.counts.map(c, c > 1, c * 2)", [4, 6]),
        ("resource.counts.map(c, resource.consent, c)", UNKNOWN),
        ("resource.counts.map(c, resource.consent ? 1 : 2)", UNKNOWN),
        ("resource.counts.map(c, 1 / (c - 1))", Fault("division by zero")),
        ("resource.counts.map(c, 1 / (c - 1) > 0, c)", Fault("division by zero")),
        ("resource.counts.map(c, 1 / (c - 1) > 0, resource.consent)", UNKNOWN),
        ('resource.labels.all(k, k == "env")', True),
        ("resource.labels.map(k, resource.labels[k])", ["prod"]),
        ("resource.counts.map(c, resource.counts.filter(d, d < c).size())", [0, 1, 2]),
        ("resource.counts.map(c, resource.counts.map(c, c + 1)[0] + c)", [3, 4, 5]),
        ("resource.counts.map(a, resource.counts.map(b, resource.counts.exists(c, a + b + c == 9)))",
         [[False, False, False], [False, False, False], [False, False, True]]),
    ],
)  # fmt: skip
def test_macros_over_values_unknowns_and_faults(text: str, value: Result) -> None:
    assert evaluate(text, GIVEN) == value


BOTH: dict[str, State] = {"resource.consent": Missing.UNKNOWN, "action.dry": Missing.UNKNOWN}


@pytest.mark.parametrize(
    "macro", ["all(c, {})", "exists(c, {})", "exists_one(c, {})", "filter(c, {})", "map(c, {})", "map(c, {}, c)"]
)
def test_a_macro_names_what_is_missing_for_any_member(macro: str) -> None:
    body = "(c == 1 ? resource.consent : action.dry)"
    found = evaluate(f"resource.counts.{macro.format(body)}", BOTH)
    assert found == Unknown(("action.dry", "resource.consent"))


def test_what_a_filter_leaves_open_is_not_worked_out() -> None:
    found = evaluate("resource.counts.map(c, resource.consent, action.dry)", BOTH)
    assert found == UNKNOWN


@pytest.mark.parametrize("filled", ["[{}]", "{{1: {}}}", "{{{}: 1}}"])
def test_a_macro_within_a_literal_or_a_field_is_run_as_any_other(filled: str) -> None:
    inner = "resource.owners.filter(o, o.name == 'Bo')[0].name == 'Bo' && resource.owner.name == 'Ann'"
    assert evaluate(filled.format(inner) + ".size() == 1 && !action.dry && action.amount == 100") is True
    assert evaluate(f"(action.amount == 100 ? {inner} : action.dry) && !action.dry") is True
    assert evaluate("resource.owners.filter(o, o.name == 'Bo')[0].email") == "bo@example.org"


def nested(depth: int, body: str) -> str:
    for _ in range(depth):
        body = f"resource.counts.all(c, {body})"
    return body


@pytest.mark.parametrize("before", ["", "resource.counts.all(c, c > 0) && "])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "test",
    [
        "action.amount == 100",
        "action.rate == 1.5",
        "!action.dry",
        'time.age == duration("1s")',
        "time.now == timestamp(0)",
    ],
)
def test_the_variables_of_macros_stand_in_no_facts_place(test: str, depth: int, before: str) -> None:
    given: dict[str, State] = {"time.age": Duration(10**9)}
    assert evaluate(before + nested(depth, test), given) is True


def test_each_variable_of_nested_macros_is_its_own() -> None:
    text = "resource.counts.map(a, resource.counts.map(b, resource.counts.map(c, resource.counts.map(d, {}))))"
    found = evaluate(text.format("a * 1000 + b * 100 + c * 10 + d"))
    digits = (1, 2, 3)
    assert found == [
        [[[a * 1000 + b * 100 + c * 10 + d for d in digits] for c in digits] for b in digits] for a in digits
    ]


@pytest.mark.parametrize("macro", ["all(c, c > 0)", "exists_one(c, c > 0)", "filter(c, c > 0)", "map(c, c)"])
def test_a_macro_over_a_missing_list_is_missing(macro: str) -> None:
    assert evaluate(f"resource.counts.{macro}", {"resource.counts": Missing.UNKNOWN}) == Unknown(("resource.counts",))
    assert evaluate(f"resource.counts.{macro}", {"resource.counts": Missing.ABSENT}) == Fault(
        "`resource.counts` is absent"
    )


def test_one_program_runs_again_with_other_facts() -> None:
    assert [evaluate("resource.counts.map(c, c + action.amount)", {"action.amount": n}) for n in (0, 1)] == [
        [1, 2, 3],
        [2, 3, 4],
    ]
