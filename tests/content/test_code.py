"""Program text is found wherever it hides, and prose, data and formulas pass."""

from __future__ import annotations

import base64
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from demur.content.code import MAX_CHARACTERS, CodeFinding, How, TooLongError, contains_code

CORPUS = Path(__file__).parents[1] / "vectors" / "code"


class Item(NamedTuple):
    id: str
    text: str
    is_code: bool
    is_required: bool
    is_held_out: bool


def corpus() -> list[Item]:
    """Every second item of a file was held out while the detector was tuned."""
    items = []
    for path in sorted(CORPUS.glob("*.yaml")):
        document = yaml.safe_load(path.read_text("utf-8"))
        for index, item in enumerate(document["items"]):
            is_code = document["label"] == "code"
            items.append(Item(item["id"], item["text"], is_code, item.get("required", False), index % 2 == 1))
    return items


ITEMS = corpus()


def shares(items: list[Item]) -> tuple[float, float]:
    """Precision and recall."""
    found = [item.is_code for item in items if contains_code(item.text) is not None]
    return sum(found) / len(found), sum(found) / sum(item.is_code for item in items)


def test_the_corpus_is_large_enough_to_say_something() -> None:
    assert sum(item.is_code for item in ITEMS) >= 150
    assert sum(not item.is_code for item in ITEMS) >= 150
    assert len({item.id for item in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize("item", [item for item in ITEMS if item.is_required], ids=lambda item: item.id)
def test_a_required_item_is_told_apart(item: Item) -> None:
    assert (contains_code(item.text) is not None) is item.is_code


@pytest.mark.parametrize("is_held_out", [False, True])
def test_the_others_are_told_apart_almost_always(is_held_out: bool) -> None:
    precision, recall = shares([item for item in ITEMS if item.is_held_out is is_held_out and not item.is_required])

    assert precision >= 0.98
    assert recall >= 0.98


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use this:\n```python\nx\n```\nthanks", CodeFinding("python", 20, 22, How.FENCE)),
        ("Type `ls -la` now.", CodeFinding("shell", 6, 12, How.SPAN)),
        ("please: drop table users;", CodeFinding("sql", 8, 25, How.SHAPE)),
        ("drop\u200b table\u200b users", CodeFinding("sql", 0, 18, How.SHAPE)),
    ],
)
def test_a_finding_says_what_where_and_how(text: str, expected: CodeFinding) -> None:
    assert contains_code(text) == expected


def test_what_is_encoded_is_found_where_the_encoding_stands() -> None:
    inner = base64.b64encode(b"DROP TABLE users; -- now").decode()
    text = f"Wichtig: {inner} bitte"

    assert contains_code(text) == CodeFinding("sql", 9, 9 + len(inner), How.SHAPE, ("base64",))


def test_layers_of_encoding_are_named_from_the_outside() -> None:
    once = base64.b64encode(b"import os; os.system('ls')").hex()

    found = contains_code(once)

    assert found is not None
    assert found.layers == ("hex", "base64")


def test_the_model_finds_what_no_shape_tells() -> None:
    program = "module top(input clk, output reg [7:0] q);\nalways @(posedge clk)\n  q <= q + 1;\nendmodule\n"

    found = contains_code(program)

    assert found is not None
    assert (found.how, found.language) == (How.MODEL, "verilog")


def test_encoded_prose_is_not_taken_for_code() -> None:
    letters = [base64.b64encode(f"Dear Ann, see you on day {day}.".encode()).decode() for day in range(40)]

    assert contains_code("\n".join(letters)) is None
    assert contains_code(" ".join(letters)) is None


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "\x00", "\u200b", "\ud800", "```", "`", "``````", "{}", "[]", "=" * 50]
)
def test_almost_nothing_is_not_code(text: str) -> None:
    assert contains_code(text) is None


def test_the_longest_text_is_judged_and_a_longer_one_refused() -> None:
    prose = ("The committee met on Monday. " * 10_000)[: MAX_CHARACTERS - 40]

    assert contains_code(prose) is None
    assert contains_code(prose + "\nrm -rf /\n") is not None
    with pytest.raises(TooLongError, match="expected at most 262144 characters, found 262145"):
        contains_code("a" * (MAX_CHARACTERS + 1))


def test_too_many_layers_are_an_error_and_never_no_code() -> None:
    text = "print('hi') and more of it"
    for _ in range(5):
        text = base64.b64encode(text.encode()).decode()

    with pytest.raises(TooLongError, match="expected at most 3 layers of encoding, found more"):
        contains_code(text)


def test_decoys_cannot_push_code_out_of_sight() -> None:
    decoys = " ".join(base64.b64encode(f"a quiet sentence number {n}".encode()).decode() for n in range(500))
    hidden = base64.b64encode(b"import os; os.system('ls')").decode()

    assert contains_code(f"{decoys} {hidden}") is not None


def test_more_encoded_text_than_can_be_looked_at_is_an_error() -> None:
    decoys = " ".join(base64.b64encode(f"quiet words {n}".encode()).decode() for n in range(9_000))

    with pytest.raises(TooLongError, match="more than can be looked at"):
        contains_code(decoys)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "> " * 20_000,
        "`a " * 20_000,
        "```\n" * 20_000,
        "select " * 20_000,
        "a" * 100_000,
        "%3C" * 20_000,
        "&amp;" * 20_000,
        "[" * 100_000,
        "a\u200b" * 50_000,
        "x= " * 20_000,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_text_ends(text: str) -> None:
    """Each takes well under a second here; a quadratic one would take minutes."""
    assert contains_code(text) is None


def test_threads_agree() -> None:
    texts = [item.text for item in ITEMS[::9]]
    alone = [contains_code(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(contains_code, texts * 3))

    assert together == alone * 3


def test_without_the_extra_there_is_an_error_with_a_hint_and_never_an_answer() -> None:
    program = (
        "import sys; sys.modules[{module!r}] = None\n"
        "from demur.content.code import contains_code\n"
        "from demur.errors import ConfigurationError\n"
        "try:\n    contains_code('important')\n"
        "except ConfigurationError as error:\n    print(error.diagnostics())\n"
    )
    for module in ("magika", "markdown_it"):
        ran = subprocess.run(
            [sys.executable, "-c", program.format(module=module)], capture_output=True, text=True, check=True
        )
        assert ran.stdout == (
            f"the detector of code needs `{module}`, which is not installed\n  hint: pip install 'demur[content]'\n"
        )
