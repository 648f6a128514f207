"""What Demur says in its own words: one file per locale, and what is said where a locale has no words.

- A rule's author can say it better with `messages`; these are what is said otherwise. They name what was wanted, give
  the kind of reason, point to what is possible, blame nobody and name no threshold.
- A locale falls back to its language, then to the locale that the policies declare, then to English; `pt-BR` to `pt`.
- Every locale has every phrase, with the same places to fill; each puts them where its grammar wants them.
- What is filled in was written elsewhere (an action's description, an id, a time) and may run in another direction, so
  it stands between Unicode isolates where the text runs from right to left, and loses what would reorder the rest.

Clauses: S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.phrases import ar, de, en, es, fr, zh

if TYPE_CHECKING:
    from collections.abc import Mapping

FALLBACK = "en"
"""The locale used where the asked one has no words."""
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_LOCALES: dict[str, Mapping[str, str]] = {
    "ar": ar.PHRASES,
    "de": de.PHRASES,
    "en": en.PHRASES,
    "es": es.PHRASES,
    "fr": fr.PHRASES,
    "zh": zh.PHRASES,
}
LOCALES = tuple(_LOCALES)
RIGHT_TO_LEFT = frozenset({"ar"})
_REORDERING = dict.fromkeys(
    (*range(32), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)), " "
)
"""Controls, ends of lines and whatever changes the direction of what follows."""


def chosen(locale: str, declared: str = FALLBACK) -> str:
    """The locale whose words are used: the asked one's, its language's, the declared one's, or English."""
    for tag in (*narrowing(locale), *narrowing(declared)):
        if tag in _LOCALES:
            return tag
    return FALLBACK


def narrowing(locale: str) -> tuple[str, ...]:
    """A language tag and its shorter forms, the longest first: `zh-hant-tw`, `zh-hant`, `zh`."""
    parts = locale.replace("_", "-").lower().split("-")[:8]
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))


def phrase(name: str, locale: str, *, declared: str = FALLBACK, **places: str | tuple[str, ...]) -> str:
    """The words of this name with their places filled, several items as the language separates them.

    Raises `KeyError` where there is no such phrase or a place is not filled.
    """
    tag = chosen(locale, declared)
    separator = _LOCALES[tag]["separator"]
    filled = {
        place: _isolated(text, tag) if isinstance(text, str) else separator.join(_isolated(item, tag) for item in text)
        for place, text in places.items()
    }
    return _LOCALES[tag][name].format(**filled)


def _isolated(text: str, tag: str) -> str:
    clean = " ".join(text.translate(_REORDERING).split())
    return f"{FIRST_STRONG_ISOLATE}{clean}{POP_ISOLATE}" if tag in RIGHT_TO_LEFT else clean
