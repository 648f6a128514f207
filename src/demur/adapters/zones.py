"""Time zones from the `tzdata` package that Demur ships with, never from the host (S2.4).

The host's database may be older, newer or missing, and two replicas must not disagree about when a day begins. Each
zone is read once, and offsets are remembered by zone and hour, except for an hour in which the offset changes. A name
exists only if the package's own list has it, letter for letter, so that no name can reach another file.
"""

from __future__ import annotations

import datetime as _dt
import threading
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

from demur.core.terms import NANOS, Timestamp
from demur.errors import ConfigurationError

_EPOCH = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
_HOUR_NANOS = 3_600 * NANOS
_MAX_HOURS = 4_096


class TzdataZones:
    """`ports.Zones` over the files of the `tzdata` package. Safe to use from any thread."""

    def __init__(self) -> None:
        """Raises `ConfigurationError` where the package cannot be read."""
        try:
            self._names = frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())
        except OSError as error:
            raise ConfigurationError(f"the list of time zones in `tzdata` cannot be read: {error.strerror}") from error
        self._zones: dict[str, ZoneInfo] = {}
        self._hours: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """The release of the IANA database, for example `2026f`."""
        return str(tzdata.IANA_VERSION)

    def is_zone(self, name: str) -> bool:
        """Whether such a zone exists; the spelling is exact."""
        return name in self._names

    def offset(self, zone: str, at: Timestamp) -> int:
        """Seconds east of UTC at that instant; raises `KeyError` for a zone that does not exist."""
        hour = at.nanos // _HOUR_NANOS
        known = self._hours.get((zone, hour))
        return self._learn(zone, at, hour) if known is None else known

    def _learn(self, name: str, at: Timestamp, hour: int) -> int:
        zone = self._zone(name)
        first, last = _offset(zone, hour * 3_600), _offset(zone, hour * 3_600 + 3_599)
        if first != last:
            return _offset(zone, at.seconds)
        with self._lock:
            if len(self._hours) >= _MAX_HOURS:
                self._hours.clear()
            self._hours[name, hour] = first
        return first

    def _zone(self, name: str) -> ZoneInfo:
        zone = self._zones.get(name)
        if zone is not None:
            return zone
        if name not in self._names:
            raise KeyError(name)
        zone = _read(name)
        with self._lock:
            return self._zones.setdefault(name, zone)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    """The offset at that many seconds since the epoch; instants within a day of year 1 or 9999 use that day's."""
    try:
        local = (_EPOCH + _dt.timedelta(seconds=seconds)).astimezone(zone)
    except OverflowError:
        nearer = seconds + 86_400 if seconds < 0 else seconds - 86_400
        local = (_EPOCH + _dt.timedelta(seconds=nearer)).astimezone(zone)
    span = local.utcoffset()
    return 0 if span is None else round(span.total_seconds())


def _read(name: str) -> ZoneInfo:
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError) as error:
        raise KeyError(name) from error
