"""The key `desk`: hours, rotas, times, shedding and peak of the review desk, and the facts that it makes readable.

- One document of the set declares the desk. How risk is read stands in the same key and is read after the facts are
  laid out, in `desk_risk`.
- With a desk, conditions may read `desk.open_reviews`, how many reviews wait, and, where `peak` is declared,
  `desk.is_peak`. They are read under the append lock, like usage facts (S4.2).

Clauses: S2.4, S4.2, S7.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from demur.core.desk.plan import (
    DAY_MINUTES,
    DEFAULT_LEASE_SECONDS,
    NO_DESK,
    Assignment,
    Desk,
    Hours,
    Rota,
    Shed,
    Shift,
    Timeouts,
    Window,
)
from demur.core.desk.risk import Risk
from demur.core.policy.heading import is_known_zone
from demur.core.policy.located import Items, Scalar, describe, shorten
from demur.core.policy.reading import TOKEN, Keys
from demur.core.schema import DESK, Kind, Slot, Type
from demur.core.terms import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.declarations import Declarations
    from demur.core.policy.heading import Heading
    from demur.core.policy.located import Entry, Located
    from demur.core.terms import Timestamp

KEYS = ("assign", "hours", "lease", "peak", "risk", "rotas", "shed", "timeouts")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OPEN_REVIEWS, IS_PEAK = f"{DESK}.open_reviews", f"{DESK}.is_peak"
MAX_ROTAS, MAX_SHIFTS, MAX_PEOPLE, MAX_WINDOWS, MAX_HOLIDAYS = 256, 512, 256, 64, 1_000
MAX_WAITING = 1_000_000
MAX_WAIT_MS = 366 * 86_400_000
MAX_LEASE_MS = 86_400_000
MAX_TURN_DAYS = 366

_FAR = 2**63
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)


def read_desk(
    declared: Declarations, headings: list[Heading], zone: str, is_zone: Callable[[str], bool]
) -> tuple[Desk, Keys | None]:
    """The desk of the set but for how risk is read, and the keys where that stands; `NO_DESK` where there is none."""
    found: tuple[Desk, Keys | None] = NO_DESK, None
    where = ""
    for heading in headings:
        if not heading.keys.has("desk"):
            continue
        node = heading.keys.values["desk"]
        if where:
            heading.keys.note("desk", "expected one `desk` for the set, found another", f"it is declared in {where}")
            continue
        where = heading.file
        keys = Keys(declared.report, heading.file, node, "`desk`", known=KEYS)
        if keys.is_table:
            found = _Reader(keys, zone, is_zone).desk(), keys
            _check_apart(declared)
    return found


def slots(desk: Desk) -> tuple[Slot, ...]:
    """The facts that conditions may read of the desk."""
    waiting = (Slot(OPEN_REVIEWS, Type(Kind.INT), optional=False, source=DESK),) if desk.is_declared else ()
    peak = (Slot(IS_PEAK, Type(Kind.BOOL), optional=False, source=DESK),) if desk.peak else ()
    return (*peak, *waiting)


def _check_apart(declared: Declarations) -> None:
    """What the desk makes readable must not be declared by somebody else."""
    for path, placed in declared.facts.items():
        if path.partition(".")[0] == DESK:
            message = f"expected a fact outside `{DESK}`, which the desk provides, found `{shorten(path)}`"
            declared.report.note(placed.file, placed.at, message, "give it another first name")
    if DESK in declared.sources:
        placed_source = declared.sources[DESK]
        message = f"expected a source with another name beside a desk, found `{DESK}`"
        declared.report.note(placed_source.file, placed_source.at, message)


class _Reader:
    """Reads one desk."""

    def __init__(self, keys: Keys, zone: str, is_zone: Callable[[str], bool]) -> None:
        self.keys = keys
        self.report = keys.report
        self.zone = zone
        self.is_zone = is_zone

    def desk(self) -> Desk:
        """Everything but how risk is read."""
        return Desk(
            is_declared=True,
            hours=self._hours(),
            rotas=self._rotas(),
            timeouts=self._timeouts(),
            shed=self._shed(),
            peak=self._peak(),
            assign=self.keys.choice("assign", Assignment) or Assignment.TAKEN,
            lease_seconds=_seconds(self.keys, "lease", DEFAULT_LEASE_SECONDS, most=MAX_LEASE_MS),
        )

    def _inner(self, key: str, known: tuple[str, ...], needs: tuple[str, ...] = ()) -> Keys | None:
        if not self.keys.has(key):
            return None
        return self._table(self.keys.values[key], f"`{key}`", known, needs)

    def _table(self, node: Located, what: str, known: tuple[str, ...], needs: tuple[str, ...] = ()) -> Keys | None:
        inner = Keys(self.report, self.keys.file, node, what, known=known, needs=needs)
        return inner if inner.is_table else None

    def _zone(self, inner: Keys) -> str:
        stated = inner.text("zone")
        if stated and not is_known_zone(inner, "zone", stated, self.is_zone):
            return "UTC"
        if not (stated or self.zone):
            hint = "add `zone: Europe/Berlin`, here or at the top of the document"
            self.report.note(inner.file, inner.node, f"expected a declared `zone` for {inner.what}, found none", hint)
        return stated or self.zone or "UTC"

    def _hours(self) -> Hours | None:
        inner = self._inner("hours", ("holidays", "open", "zone"), ("open",))
        if inner is None:
            return None
        windows = [self._open(node) for node in _few(inner, "open", MAX_WINDOWS)]
        if inner.has("open") and not windows:
            inner.note(
                "open", "expected at least one span for `open`, found none", "leave `hours` out to be open always"
            )
        holidays = tuple(sorted(str(text.value) for text in inner.texts("holidays") if self._is_date(inner, text)))
        if len(holidays) > MAX_HOLIDAYS:
            inner.note("holidays", f"expected at most {MAX_HOLIDAYS} holidays, found {len(holidays)}")
        return Hours(self._zone(inner), tuple(item for item in windows if item is not None), holidays)

    def _open(self, node: Located) -> Window | None:
        inner = self._table(node, "a span of `open`", ("days", "from", "to"), ("from", "to"))
        return None if inner is None else self._window(inner)

    def _window(self, inner: Keys) -> Window | None:
        days = self._days(inner)
        opens, closes = self._clock(inner, "from"), self._clock(inner, "to")
        return Window(days, opens, closes) if opens is not None and closes is not None else None

    def _days(self, inner: Keys) -> tuple[int, ...]:
        found: list[int] = []
        for text in inner.texts("days", least=1):
            day = str(text.value).lower()
            if day in DAYS:
                found.append(DAYS.index(day))
            else:
                inner.not_one_of("days", text, DAYS)
        return tuple(sorted(set(found))) if inner.has("days") else tuple(range(7))

    def _clock(self, inner: Keys, key: str) -> int | None:
        text = inner.text(key)
        if not text:
            return None
        match = _CLOCK.fullmatch(text)
        if match is None:
            inner.note(key, f'expected a time of day such as "09:00" for `{key}`, found the text `{shorten(text)}`')
            return None
        return int(match[1]) * 60 + int(match[2]) if match[1] else DAY_MINUTES

    def _is_date(self, inner: Keys, text: Scalar) -> bool:
        if _DATE.fullmatch(str(text.value)):
            return True
        self.report.note(inner.file, text, f"expected a date such as `2026-12-25`, found {describe(text)}")
        return False

    def _rotas(self) -> dict[str, Rota]:
        entries = self.keys.entries("rotas")
        if len(entries) > MAX_ROTAS:
            self.keys.note("rotas", f"expected at most {MAX_ROTAS} rotas, found {len(entries)}")
        found = [(entry.key, self._rota(entry)) for entry in entries[:MAX_ROTAS]]
        return {name: rota for name, rota in sorted(found) if rota is not None}

    def _rota(self, entry: Entry) -> Rota | None:
        if not TOKEN.fullmatch(entry.key):
            message = f"expected a rota's name of a-z, 0-9, `_`, `.`, `-`, found `{shorten(entry.key)}`"
            self.report.note(self.keys.file, entry, message)
            return None
        inner = self._table(entry.value, "a rota", ("shifts", "zone"), ("shifts",))
        if inner is None:
            return None
        shifts = [self._shift(node) for node in _few(inner, "shifts", MAX_SHIFTS)]
        return Rota(self._zone(inner), tuple(item for item in shifts if item is not None))

    def _shift(self, node: Located) -> Shift | None:
        known = ("days", "from", "people", "since", "to", "turn_days", "until")
        inner = self._table(node, "a shift", known, ("people",))
        if inner is None:
            return None
        people = tuple(str(text.value) for text in inner.texts("people", least=1))
        if len(people) > MAX_PEOPLE:
            inner.note("people", f"expected at most {MAX_PEOPLE} people in a shift, found {len(people)}")
        since, until = self._instant(inner, "since"), self._instant(inner, "until")
        if since is not None and until is not None and since >= until:
            inner.note("until", "expected `until` to be later than `since`, found that it is not")
        turn_days = inner.whole("turn_days", 0, least=1, most=MAX_TURN_DAYS)
        if turn_days and since is None:
            inner.note(
                "turn_days", "expected `since` beside `turn_days`, found none", "it says when the first turn begins"
            )
        window = self._shift_window(inner)
        if not people or (turn_days and since is None):
            return None
        return Shift(people=people, window=window, since=since, until=until, turn_days=turn_days)

    def _shift_window(self, inner: Keys) -> Window | None:
        if inner.has("from") != inner.has("to"):
            key = "from" if inner.has("from") else "to"
            inner.note(key, f"expected both `from` and `to` in a shift, found only `{key}`")
            return None
        if inner.has("from"):
            return self._window(inner)
        return Window(self._days(inner), 0, DAY_MINUTES) if inner.has("days") else None

    def _instant(self, inner: Keys, key: str) -> Timestamp | None:
        text = inner.text(key)
        if not text:
            return None
        try:
            found = parse_timestamp(text)
        except ValueError as error:
            inner.note(key, f"expected a time for `{key}`: {error}")
            return None
        if not -_FAR <= found.nanos < _FAR:
            inner.note(key, f"expected a time between the years 1678 and 2262 for `{key}`, found `{found}`")
            return None
        return found

    def _timeouts(self) -> Timeouts | None:
        inner = self._inner("timeouts", ("least", "most", *(risk.value for risk in Risk)))
        if inner is None:
            return None
        by_risk = {risk: _seconds(inner, risk.value, 0, most=MAX_WAIT_MS) for risk in Risk if inner.has(risk.value)}
        least, most = _seconds(inner, "least", 60, most=MAX_WAIT_MS), _seconds(inner, "most", 0, most=MAX_WAIT_MS)
        if most and least > most:
            inner.note("least", "expected `least` to be no longer than `most`, found that it is")
        return Timeouts(least=least, most=most, by_risk={risk: span for risk, span in by_risk.items() if span})

    def _shed(self) -> tuple[Shed, ...]:
        if not self.keys.has("shed"):
            return ()
        node = self.keys.values["shed"]
        lines = [self._line(item) for item in (node.items if isinstance(node, Items) else (node,))]
        found = sorted((line for line in lines if line is not None), key=lambda line: (line.over, line.up_to.rank))
        for less, more in pairwise(found):
            if more.over == less.over or more.up_to.rank <= less.up_to.rank:
                hint = "every longer queue must turn away higher risks too"
                self.keys.note("shed", "expected lines whose limits and risks both grow, found others", hint)
        return tuple(found)

    def _line(self, node: Located) -> Shed | None:
        inner = self._table(node, "a line of `shed`", ("again", "over", "up_to"), ("over", "up_to"))
        if inner is None:
            return None
        over = inner.whole("over", 0, least=1, most=MAX_WAITING)
        up_to = inner.choice("up_to", Risk)
        again = _seconds(inner, "again", 900, most=14 * 86_400_000)
        return Shed(over, up_to, again) if over and up_to is not None else None

    def _peak(self) -> int:
        inner = self._inner("peak", ("over",), ("over",))
        return 0 if inner is None else inner.whole("over", 0, least=1, most=MAX_WAITING)


def _few(inner: Keys, key: str, most: int) -> tuple[Located, ...]:
    found = inner.items(key)
    if len(found) > most:
        inner.note(key, f"expected at most {most} items for `{key}`, found {len(found)}")
    return found[:most]


def _seconds(keys: Keys, key: str, default: int, *, most: int) -> int:
    """A duration of whole seconds, at least one."""
    if not keys.has(key):
        return default
    span = keys.milliseconds(key, 1_000, most=most)
    if span % 1_000 or not span:
        keys.note(key, f"expected whole seconds, at least one, for `{key}`, found {describe(keys.values[key])}")
        return default
    return span // 1_000
