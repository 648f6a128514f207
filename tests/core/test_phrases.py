"""Demur's own words: complete in every language, right in its writing, and with a fallback (S10.2)."""

from __future__ import annotations

import string
import unicodedata

import pytest

from demur.core import phrases
from demur.core.phrases import LOCALES, chosen, phrase
from demur.core.terms import Category, Disposition

OPEN, CLOSE = "\u2068", "\u2069"
NAMES = sorted(phrases._LOCALES["en"])
CATEGORIES, DISPOSITIONS = [item.value for item in Category], [item.value for item in Disposition]
BLAME = ("sorry", "can't", "cannot", "your fault", "you failed", "leider", "désolé", "lo siento", "抱歉", "نأسف")
DIRECTIONS = {"L", "EN", "AN", "R", "AL"}


def places(text: str) -> list[str]:
    return sorted(place for _, place, _, _ in string.Formatter().parse(text) if place)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_language_has_every_phrase_with_the_same_places(locale: str) -> None:
    texts, model = phrases._LOCALES[locale], phrases._LOCALES["en"]
    assert {name: places(text) for name, text in texts.items()} == {name: places(text) for name, text in model.items()}
    assert {*CATEGORIES, *DISPOSITIONS} <= set(texts)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", [*CATEGORIES, *DISPOSITIONS])
def test_a_sentence_is_short_ends_and_blames_nobody(locale: str, name: str) -> None:
    text = phrase(name, locale, wanted="")
    assert len(text) <= 120
    assert text.endswith("。" if locale == "zh" else ".")
    assert [word for word in BLAME if word in text.lower()] == []


@pytest.mark.parametrize(
    ("asked", "declared", "used"),
    [
        ("en", "en", "en"),
        ("de-CH", "en", "de"),
        ("zh-Hant-TW", "en", "zh"),
        ("pt_BR", "fr-CA", "fr"),
        ("pt-BR", "nl", "en"),
        ("DE", "en", "de"),
        ("", "es", "es"),
        ("", "", "en"),
        ("x" * 10_000 + "-" * 10_000, "ar", "ar"),
    ],
)
def test_a_locale_falls_back_to_its_language_then_the_declared_one_then_english(
    asked: str, declared: str, used: str
) -> None:
    assert chosen(asked, declared) == used


def test_what_is_filled_into_arabic_is_isolated() -> None:
    text = phrase("earliest", "ar", time="2026-11-20T09:00:00Z")
    assert f"{OPEN}2026-11-20T09:00:00Z{CLOSE}" in text
    told = phrase("change", "ar", facts=("amount = 5", "note"))
    assert f"{OPEN}amount = 5{CLOSE}، {OPEN}note{CLOSE}" in told


@pytest.mark.parametrize("name", NAMES)
def test_outside_of_isolates_arabic_runs_from_right_to_left(name: str) -> None:
    filled = dict.fromkeys(places(phrases._LOCALES["ar"][name]), "refund-1")
    text = phrase(name, "ar", **filled)
    outside = "".join(part.rpartition(CLOSE)[2] for part in text.split(OPEN))
    strong = {unicodedata.bidirectional(symbol) for symbol in outside} & DIRECTIONS
    assert strong <= {"AL", "R"}
    assert text.count(OPEN) == text.count(CLOSE) == len(filled)


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_filled_in_cannot_break_out_of_its_place(locale: str) -> None:
    text = phrase("scope_exceeded", locale, wanted="a\u202eb\u2069c\n{wanted}\x00\u2028d")
    isolates = OPEN + CLOSE if locale == "ar" else ""
    assert [symbol for symbol in text if unicodedata.category(symbol) in {"Cc", "Cf", "Zl"}] == list(isolates)
    assert "a b c {wanted} d" in text


def test_chinese_uses_full_width_punctuation_and_no_space_between_sentences() -> None:
    texts = [text for name, text in phrases._LOCALES["zh"].items() if name != "sentence_separator"]
    assert [text for text in texts if any(mark in text for mark in ",;:.?!")] == []
    assert phrase("sentence_separator", "zh") == ""


def test_german_addresses_formally_and_quotes_low_and_high() -> None:
    texts = list(phrases._LOCALES["de"].values())
    assert [text for text in texts if {"du", "dein", "dir", "dich"} & set(text.lower().split())] == []
    assert phrase("temporal", "de", wanted="x").startswith("„x“")


def test_french_has_no_break_spaces_where_its_writing_wants_them() -> None:
    for text in phrases._LOCALES["fr"].values():
        for mark, space in ((";", "\u202f"), (":", "\u00a0"), ("»", "\u00a0")):
            places_of = [at for at, symbol in enumerate(text) if symbol == mark]
            assert [text[at - 1] for at in places_of] == [space] * len(places_of)
