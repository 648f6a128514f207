"""What a text says, read without a model: words, requests, amounts, accounts, addresses, dates, references.

Nothing here knows a task. The vocabularies are grammar (which words stand before a noun, which before a verb), the
calendar, and the marks that accounts, addresses and amounts carry in any text. What counts as "asked for a payment"
is policy and stands in the policies.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)*|[.,:;!?()]")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_AMOUNT = re.compile(r"(?<![\w.,-])[$€£]?\s?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\w%-]|[.,]\d)")
_PERCENT = re.compile(r"(?<![\w.,])(\d+(?:\.\d+)?)\s?(?:%|percent\b|per cent\b)")
_ISO_DATE = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)\s?(am|pm)?\b|\b(\d{1,2})\s?(am|pm)\b", re.IGNORECASE)
_MONTHS = [month.casefold() for month in calendar.month_name[1:]]
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if name[3:] else name for name in _MONTHS)
_MONTH_DAY = re.compile(rf"\b({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}}))?", re.IGNORECASE)
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})\b(?:,?\s+(\d{{4}}))?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"\b(?:(?:{_MONTH})\.?,?|in|of|since|year)\s+((?:19|20)\d\d)\b", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|(?<=[\s(]))\d{1,2}[.)](?=\s)")
_RELATIVE_DAYS = {"yesterday": -1, "today": 0, "tonight": 0, "tomorrow": 1}
_WEEKDAYS = [day.casefold() for day in calendar.day_name]


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BEFORE_NOUNS = _vocabulary(
    "a an the this that these those my your his her its our their some any no every each all another such same"
    " last next previous latest recent first second third upcoming new old unread received sent scheduled recurring"
    " of in from by for on about at into with without during under over per"
)
"""After these a word is a noun: "the transfer", "my email", "from the order"."""
_SUBJECTS = _vocabulary("i he she they it who which we")
"""After these a verb reports: "what they send me", "the amount I usually pay"."""
_MODALS = _vocabulary("can could may might shall should must would will")
_ADVERB = re.compile(r"\w+ly|often|always|never|already|still|ever|once")
_NEGATIONS = frozenset(("not", "don't", "don\u2019t", "never", "without", "cannot", "can't", "dont"))
_NO_OBJECTS = _NEGATIONS | _SUBJECTS
_LIGHT = re.compile(
    r"\b(?=(?:make|do|issue|initiate|execute|perform|arrange|place|put|need|want|have|get|set\s+up|give|send)\s+"
    r"(?:(?:me|us|them|him|her|a|an|the|my|our|another|one|some)\s+)*((?:\w+\s+)?\w+))",
    re.IGNORECASE,
)
"""A light verb and its object, "make a transfer"; a lookahead, since "need to make a transfer" holds two."""
_REACH = 8
"""How many words back the grammar of a request is looked for."""

_DELEGATION = re.compile(
    r"\b(?:follow|do|perform|carry\s+out|execute|complete|handle|act\s+on|apply|take\s+care\s+of|work\s+through)\b"
    r"(?P<between>[^.?!]{0,60}?)\b(?:instructions?|actions?|tasks?|steps|to-?dos?|requests?|directions|things)\b"
    r"|\baccordingly\b"
    r"|\bas\s+(?:described|instructed|requested|stated|specified|indicated|explained|asked)\b"
    r"|\b(?:whatever|everything|(?:do|follow|handle)\s+what)\s+(?:\w+\s+){1,3}?(?:says?|asks?|tells?|wants?|requests?)\b",
    re.IGNORECASE,
)

_STOP_WORDS = (
    _BEFORE_NOUNS
    | _SUBJECTS
    | _vocabulary(
        "and or to is are be was re fwd your you me up as there more just did take have has here what when where"
    )
)


def words(text: str) -> list[str]:
    """The words of the text, folded, each once, in order."""
    return list(dict.fromkeys(match.casefold() for match in _WORD.findall(text)))


def requests(text: str) -> list[str]:
    """The words that the text uses to ask for something.

    These are base forms that are neither nouns nor reports nor negated, and the nouns of phrases such as "make a
    transfer".
    """
    tokens = [token.casefold() for token in _TOKEN.findall(text)]
    asked = [token for index, token in enumerate(tokens) if _is_asked(tokens, index)]
    phrases = [match[1].casefold().split() for match in _LIGHT.finditer(text)]
    asked += [word for phrase in phrases if not _NO_OBJECTS.intersection(phrase) for word in phrase]
    return list(dict.fromkeys(asked))


def _is_asked(tokens: list[str], index: int) -> bool:
    if not tokens[index][0].isalpha():
        return False
    before = tokens[max(0, index - _REACH) : index]
    while before and _ADVERB.fullmatch(before[-1]) and before[-1] not in _NEGATIONS:
        before = before[:-1]
    if not before:
        return True
    if before[-1] in _BEFORE_NOUNS or (before[-1] in _SUBJECTS and not _is_wished(before[:-1])):
        return False
    nearby = before[-3:]
    return "forget" in nearby or not _NEGATIONS.intersection(nearby)


def _is_wished(before: list[str]) -> bool:
    """What stands before a subject makes a wish of its verb: "make sure I pay", "could we send"."""
    return bool(before) and (before[-1] in _MODALS or bool({"sure", "ensure", "want", "wish"} & set(before[-2:])))


def delegates(text: str) -> bool:
    """The text asks to act on what another text says, rather than on a list that it gives itself."""
    return any("following" not in (match["between"] or "").casefold() for match in _DELEGATION.finditer(text))


def accounts(text: str) -> list[str]:
    """The bank accounts (IBAN and alike) in the text, without spaces, each once."""
    return list(dict.fromkeys(match.replace(" ", "") for match in _ACCOUNT.findall(text)))


def addresses(text: str) -> list[str]:
    """The email addresses in the text, folded, each once."""
    return list(dict.fromkeys(match.casefold().rstrip(".") for match in _ADDRESS.findall(text)))


def amounts(text: str) -> list[float]:
    """The numbers that can be amounts: not within accounts, dates, times, years, percentages or list numbering."""
    for pattern in (_ACCOUNT, _ISO_DATE, _MONTH_DAY, _DAY_MONTH, _MONTH_YEAR, _CLOCK, _ADDRESS, _LIST_NUMBER):
        text = pattern.sub(" ", text)
    found = (float(match.replace(",", "")) for match in _AMOUNT.findall(text))
    return list(dict.fromkeys(found))


def percentages(text: str) -> list[float]:
    """The percentages in the text."""
    return [float(match) for match in _PERCENT.findall(text)]


def dates(text: str, today: dt.date | None = None) -> list[str]:
    """The days that the text names, as `YYYY-MM-DD`; relative ones and those without a year need `today`."""
    found = [match.group(0) for match in _ISO_DATE.finditer(text)]
    for match in _MONTH_DAY.finditer(text):
        found += _day(match[3], match[1], match[2], today)
    for match in _DAY_MONTH.finditer(text):
        found += _day(match[3], match[2], match[1], today)
    if today is not None:
        spoken = words(text)
        found += [str(today + dt.timedelta(days=days)) for name, days in _RELATIVE_DAYS.items() if name in spoken]
        ahead = ((number - today.weekday()) % 7 for number, name in enumerate(_WEEKDAYS) if name in spoken)
        found += [str(today + dt.timedelta(days=days)) for days in ahead]
    return list(dict.fromkeys(found))


def _day(year: str | None, month: str, day: str, today: dt.date | None) -> list[str]:
    if year is None and today is None:
        return []
    number = next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(month[:3].casefold()))
    try:
        return [str(dt.date(int(year) if year else today.year, number, int(day)))]  # type: ignore[union-attr]
    except ValueError:
        return []


def times(text: str) -> list[str]:
    """The times of day that the text names, as `HH:MM`."""
    found = []
    for match in _CLOCK.finditer(text):
        half = (match[3] or match[5] or "").casefold()
        hour = int(match[1] or match[4])
        hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
        found.append(f"{hour:02d}:{match[2] or '00'}")
    return list(dict.fromkeys(found))


def stem(word: str) -> str:
    """A word without the endings of English plurals and verb forms, good enough to compare titles."""
    for ending, rest in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + rest
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def terms(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning, numbers included."""
    tokens = re.findall(r"[^\W_]+", text.casefold())
    telling = (token for token in tokens if token not in _STOP_WORDS and (len(token) > 2 or token.isdigit()))
    return frozenset(stem(token) for token in telling)


def mentions(text: str, title: str) -> bool:
    """The text refers to a thing with this title: literally, or by most of the words that carry its meaning."""
    if not title.strip():
        return False
    bare = re.sub(r"\.[a-z]{2,4}$", "", title.casefold())
    if re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", text.casefold()):
        return True
    wanted = frozenset(term for term in terms(bare) if not term.isdigit())
    shared = wanted & terms(text)
    return bool(wanted) and (shared == wanted or (len(shared) >= 2 and len(shared) / len(wanted) >= 0.6))


def singles_out(text: str, title: str, others: Iterable[str]) -> bool:
    """The text mentions the title, or has a word of it that none of the other titles has."""
    shared = frozenset(term for other in others for term in terms(other))
    return mentions(text, title) or bool((terms(title) - shared) & terms(text))
