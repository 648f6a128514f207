"""Times, spans and values in words, as templates use them; all from instants that are handed in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demur.core.terms import Timestamp

MINUTE, HOUR, DAY = 60, 3_600, 86_400
SOON_SECONDS = 2 * HOUR
URGENT_SECONDS = 15 * MINUTE
MAX_SHOWN = 200


def span(seconds: float) -> str:
    """A length of time in at most two units: `3 h 20 min`."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        hours, minutes = divmod(whole // MINUTE, 60)
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    days, hours = divmod(whole // HOUR, 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def left(until: Timestamp, now: Timestamp) -> str:
    """What is left until an instant: `in 20 min`, or `since 3 min` where it has passed."""
    seconds = seconds_between(now, until)
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def ago(at: Timestamp, now: Timestamp) -> str:
    """How long ago it was."""
    return f"{span(seconds_between(at, now))} ago"


def urgency(until: Timestamp, now: Timestamp) -> str:
    """How pressing a deadline is: `over`, `urgent`, `soon` or `calm`."""
    seconds = seconds_between(now, until)
    if seconds <= 0:
        return "over"
    if seconds < URGENT_SECONDS:
        return "urgent"
    return "soon" if seconds < SOON_SECONDS else "calm"


def seconds_between(earlier: Timestamp, later: Timestamp) -> float:
    """Seconds from one instant to another, negative where they stand the other way round."""
    return (later.nanos - earlier.nanos) / 1e9


def instant(at: Timestamp) -> str:
    """An instant as people read it, UTC, to the minute."""
    return f"{str(at)[:16].replace('T', ' ')} UTC"


def value(item: object) -> str:
    """A value of an argument or a fact on one line; a text as it stands, everything else as JSON, never too long."""
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def words(name: str) -> str:
    """A name of the wire as words: `pending_review` as `pending review`."""
    return name.replace("_", " ")


_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
_HIDDEN = "\ufeff\u2060\u00ad\u200b"
_UNSEEN = str.maketrans(
    {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n\r"}
    | {code: f"[U+{code:04X}]" for code in (0x7F, *range(0x80, 0xA0), *map(ord, _TURNING + _HIDDEN))}
)
"""Controls, and characters that turn the direction of what follows or hide between letters (UTR 36, section 2.5)."""


def visible(item: object) -> object:
    """What a page shows of a value: a text in which no character misleads about the others; all else as it is."""
    return item.translate(_UNSEEN) if type(item) is str else item


FILTERS: Mapping[str, Callable[..., str]] = {
    "span": span,
    "left": left,
    "ago": ago,
    "urgency": urgency,
    "instant": instant,
    "value": value,
    "words": words,
}
