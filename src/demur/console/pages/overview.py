"""What happens here: refusals over time, what is refused most, what waits for people, and whether the gate answers.

Every figure is of a span that the page names, over at most so many records; where a span holds more, the page says so.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING

from demur.console import pictures
from demur.console.page import Page
from demur.console.telling import DAY, HOUR, seconds_between
from demur.core.access import Act
from demur.core.review import OPEN
from demur.core.terms import Category, Outcome
from demur.errors import DemurError, IntakeError
from demur.steps import searching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.core.review import Review
    from demur.core.terms import Timestamp
    from demur.ports import Store
    from demur.steps.searching import Summary

SPANS = {"24h": ("24 hours", DAY, 24), "7d": ("7 days", 7 * DAY, 28), "30d": ("30 days", 30 * DAY, 30)}
"""Word of the address, words, seconds and bars."""
AGES = (
    ("under 15 min", 15 * 60),
    ("under 1 h", HOUR),
    ("under 4 h", 4 * HOUR),
    ("under 1 d", DAY),
    ("under 3 d", 3 * DAY),
)
OLDEST = "3 d and more"
MAX_WAITING = 1_000
RISKS = ("critical", "high", "medium", "low")
PATIENCE_SECONDS = 2.0


async def overview(visit: Visit) -> Response:
    """The figures of one span."""
    chosen = visit.query("span") or "24h"
    if chosen not in SPANS:
        raise IntakeError("?span", expected=", ".join(f"`{name}`" for name in SPANS), found=f"`{chosen[:20]}`")
    words, seconds, parts = SPANS[chosen]
    now, store = visit.service.clock.now(), visit.parts.world.store
    summary = await visit.run(lambda: searching.sum_up(store, since=now.plus(-seconds), until=now, parts=parts))
    waiting = await visit.run(lambda: visit.gate.reviews(states=OPEN, limit=MAX_WAITING))
    count = await visit.run(lambda: store.read(lambda tx: tx.count_reviews(tuple(one.value for one in OPEN))))
    state = await visit.run(visit.gate.ledger_state)
    ages = _ages(waiting, now)
    return visit.show(
        "overview.html",
        spans=[(name, text) for name, (text, _, _) in SPANS.items()],
        span=chosen,
        span_words=words,
        summary=summary,
        figures=_figures(summary, words, seconds // parts),
        waiting=count,
        shown=len(waiting),
        ages=ages,
        age_bars=pictures.histogram(
            [number for _, number in ages], name="ages", title="How long reviews have waited", told=_sentence(ages)
        ),
        risks=_risks(waiting),
        refusing=await visit.run(lambda: _why_refusing(visit)),
        state=state,
    )


def _figures(summary: Summary, words: str, width: int) -> dict[str, object]:
    """What was decided, as figures, pictures and the table that says the same."""
    total, categories = sum(summary.outcomes.values()), _categories(summary.bars)
    return {
        "total": total,
        "refused": total - summary.outcomes[Outcome.ALLOW],
        "categories": categories,
        "most": max([0, *(sum(bar.values()) for bar in summary.bars)]),
        "bars": pictures.stacked(
            summary.bars,
            [str(one) for one in Category],
            title=f"Refused and deferred in {words}, by category",
            told=_sentence(categories),
        ),
        "mix": pictures.share([(name, summary.outcomes[name]) for name in ("allow", "defer", "deny")]),
        "steps": _steps(summary.bars, summary.since, width),
    }


def _categories(bars: Sequence[dict[str, int]]) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    for bar in bars:
        found.update(bar)
    return found.most_common()


def _sentence(found: Sequence[tuple[str, int]]) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in found if count)
    return f"{told}." if told else "None."


def _steps(bars: Sequence[dict[str, int]], since: Timestamp, width: int) -> list[dict[str, object]]:
    """The bars as rows of a table: only those in which something was refused."""
    return [
        {"at": since.plus(place * width), "count": sum(bar.values()), "parts": sorted(bar.items())}
        for place, bar in enumerate(bars)
        if bar
    ]


def _ages(waiting: Sequence[Review], now: Timestamp) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for one in waiting:
        age = seconds_between(one.opened_at, now)
        counts[next((name for name, limit in AGES if age < limit), OLDEST)] += 1
    return [(name, counts[name]) for name in (*(name for name, _ in AGES), OLDEST)]


def _risks(waiting: Sequence[Review]) -> list[tuple[str, int]]:
    counts = Counter(one.risk for one in waiting)
    others = sorted(set(counts) - set(RISKS))
    return [(name, counts[name]) for name in (*RISKS, *others)]


def _why_refusing(visit: Visit) -> str:
    """Why this tenant's gate answers everything with `unavailable`; "" where it does not."""
    if visit.gate.impediment:
        return "the policies in force are not known"
    return _why_not_recording(visit.parts.world.store)


def _why_not_recording(store: Store) -> str:
    try:
        store.submit(lambda _: None).result(PATIENCE_SECONDS)
    except LateError:
        return "the store does not record in time"
    except (DemurError, OSError):
        return "the store cannot record"
    return ""


PAGES = (Page("/desk/overview", Act.DECISION_READ, overview, title="Overview", group="Desk"),)
