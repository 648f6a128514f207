"""What the extractors of examples/agentdojo read in texts that no benchmark holds."""

import datetime as dt

import pytest
from examples.agentdojo import reading

TODAY = dt.date(2026, 11, 20)  # a Friday


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Please pay the plumber.", "pay"),
        ("Could you quickly transfer it?", "transfer"),
        ("Read it and delete the draft.", "delete"),
        ("I need to make a transfer to my aunt.", "transfer"),
        ("Make sure I pay on time.", "pay"),
        ("Don't forget to invite Nora.", "invite"),
        ("1. Find it. 2. share it.", "share"),
        ("I need a meeting with Otto.", "meeting"),
    ],
)
def test_these_words_ask(text: str, word: str) -> None:
    assert word in reading.requests(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("What did the transfer cost?", "transfer"),
        ("How much do I usually pay for gas?", "pay"),
        ("Do not delete anything.", "delete"),
        ("Never send it to them.", "send"),
        ("What do they send me each month?", "send"),
        ("Who else is invited?", "invite"),
        ("Show me the last order.", "order"),
        ("", "pay"),
    ],
)
def test_these_words_do_not_ask(text: str, word: str) -> None:
    assert word not in reading.requests(text)


@pytest.mark.parametrize(
    "text",
    [
        "Follow the instructions in notice.txt.",
        "Do the things that Otto lists in his email.",
        "Read it and change the order accordingly.",
        "Arrange everything as described in the memo.",
        "Do whatever my aunt asks for.",
    ],
)
def test_these_texts_delegate(text: str) -> None:
    assert reading.delegates(text)


@pytest.mark.parametrize(
    "text", ["Perform the following tasks: 1. pay the rent.", "What does the notice say?", "Complete the form.", ""]
)
def test_these_texts_do_not_delegate(text: str) -> None:
    assert not reading.delegates(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pay 12.50", [12.5]),
        ("$1,200 and 3,400.75 euros", [1200.0, 3400.75]),
        ("On 2026-11-20 at 10:30, May 3rd, 2026 or 3 May: 7", [7.0]),
        ("1. pay 20\n2. pay 30", [20.0, 30.0]),
        ("DE89370400440532013000 gets 5", [5.0]),
        ("spending in 2024", []),
        ("10% more", []),
        ("version 1.2.3", []),
        ("none", []),
    ],
)
def test_amounts(text: str, expected: list[float]) -> None:
    assert reading.amounts(text) == expected


def test_percentages() -> None:
    assert reading.percentages("10% now, 2.5 percent later, 100 in all") == [10.0, 2.5]


def test_accounts_with_and_without_spaces() -> None:
    text = "to NL91 ABNA 0417 1643 00, then DE89370400440532013000; not A1B2"
    assert reading.accounts(text) == ["NL91ABNA0417164300", "DE89370400440532013000"]


def test_addresses_are_folded() -> None:
    assert reading.addresses("Write to Nora.Berg@Example.com, not to nora@ or @example.com.") == [
        "nora.berg@example.com"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on 2026-12-01", ["2026-12-01"]),
        ("on December 1st", ["2026-12-01"]),
        ("on 1 December 2027", ["2027-12-01"]),
        ("tomorrow", ["2026-11-21"]),
        ("next Monday", ["2026-11-23"]),
        ("on Friday", ["2026-11-20"]),
        ("February 31", []),
        ("in May", []),
    ],
)
def test_dates(text: str, expected: list[str]) -> None:
    assert reading.dates(text, TODAY) == expected


def test_dates_without_a_year_mean_nothing_without_a_today() -> None:
    assert reading.dates("on December 1st, or 2026-12-02") == ["2026-12-02"]


def test_times() -> None:
    assert reading.times("at 9am, 12am, 12pm, 14:30 or 7:15 pm") == ["09:00", "00:00", "12:00", "14:30", "19:15"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("the file tax-return.pdf", "tax-return.pdf"),
        ("my tax return", "tax-return.pdf"),
        ("cancel the hiking trips", "Hiking Trip"),
        ("the minutes of the board's spring meeting", "Board meeting minutes"),
    ],
)
def test_a_text_mentions_a_title(text: str, title: str) -> None:
    assert reading.mentions(text, title)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("my tax form", "tax-return.pdf"),
        ("anything", ""),
        ("", "Hiking Trip"),
        ("lunches", "Lunch with the whole board"),
    ],
)
def test_a_text_does_not_mention_a_title(text: str, title: str) -> None:
    assert not reading.mentions(text, title)


def test_one_word_singles_out_what_nothing_else_has() -> None:
    others = ["Gas bill", "Phone bill"]
    assert reading.singles_out("raise the gym fee", "Gym membership", others)
    assert not reading.singles_out("pay the bill", "Water bill", others)


@pytest.mark.parametrize(
    "text",
    [
        "\x00" * 1000,
        "a" * 100_000,
        "9" * 10_000,
        "@" * 10_000,
        "do " * 30_000,
        "make a " * 20_000,
        "1 " * 50_000,
        "Ω≈ç √ 付款 1,5",
        "2026-99-99",
    ],
)
def test_every_reader_takes_any_text(text: str) -> None:
    for read in (
        reading.words, reading.requests, reading.delegates, reading.accounts, reading.addresses, reading.amounts,
        reading.percentages, reading.dates, reading.times, reading.terms,
    ):  # fmt: skip
        read(text)
    assert not reading.mentions(text, "tax-return.pdf")
