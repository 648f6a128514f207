"""Places at which people are told of reviews: from settings to couriers. None by default, and then nothing runs.

[tenants.clinic.notify.oncall]
url_file = "secrets/oncall"            # addresses for Apprise, one a line
events = ["opened", "escalated", "deadline_near"]
roles = ["supervisor"]
risks = ["high", "critical"]

[tenants.clinic.notify.mara]
url_env = "MARA_MAIL"
person = "mara"                        # what she may rule on, with a link of her own
locale = "de"
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from demur.adapters.notices import KINDS, Notices
from demur.adapters.outbox import Courier
from demur.adapters.pulse import Beat
from demur.core.notice import Happening
from demur.core.record import check_log
from demur.errors import ConfigurationError, LedgerError
from demur.steps import noticing
from demur.steps.noticing import Wish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.adapters.notices import Compose
    from demur.adapters.notifying import Opener
    from demur.gateway import Gateway
    from demur.steps.world import World

PREFIX = "notify."
"""Beginning of the names by which `sink_places` tells how far a place was told; further addresses end in `.2`."""
NEAR_SECONDS = 15 * 60
LOOK_SECONDS = 20.0
_RISKS = frozenset({"low", "medium", "high", "critical"})


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somewhere people are told. Filters that are left empty stand for all; several must all fit, but that one of
    `roles`, `groups` and `rotas` is enough.
    """

    url_file: str = ""
    """A file of addresses for Apprise, one a line. They hold credentials, so they stand in no settings."""
    url_env: str = ""
    """Or the variable that holds one."""
    events: tuple[Happening, ...] = (Happening.OPENED, Happening.ESCALATED, Happening.DEADLINE_NEAR)
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    rotas: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    named_actions: tuple[str, ...] = ()
    """Patterns of the actions whose names may be told here; by default none."""
    person: str = ""
    """The name of the person whose place it is: it gets what that person may rule on, with a link of their own."""
    locale: str = ""
    """The language of the texts; by default the first one that the person speaks, else English."""

    @property
    def wish(self) -> Wish:
        """What it wants to be told."""
        named = {field: getattr(self, field) for field in Wish.__struct_fields__}
        return Wish(**named)


def open_notices(
    world: World, places: Mapping[str, Place], base_url: str, *, opener: Opener | None = None
) -> list[Courier]:
    """A courier for each address of each place, not started yet; raises `ConfigurationError`.

    `base_url` is where the desk is reached, "" where links cannot be told.
    """
    couriers = []
    for name, place in places.items():
        _check(name, place)
        for number, url in enumerate(_addresses(name, place), 1):
            title = PREFIX + name + (f".{number}" if number > 1 else "")
            more = {} if opener is None else {"opener": opener}
            sink = Notices(name, url, _composing(world, place.wish, base_url.rstrip("/")), **more)
            couriers.append(Courier(world.store, title, sink, types=KINDS))
    return couriers


def reminding(gate: Gateway, places: Mapping[str, Place]) -> list[Beat]:
    """What notes that deadlines are near, where any place wants to know."""
    if not any(Happening.DEADLINE_NEAR in place.events for place in places.values()):
        return []
    return [Beat("watch over deadlines", LOOK_SECONDS, lambda: gate.remind(NEAR_SECONDS))]


def resolved(places: Mapping[str, Place], folder: Path) -> dict[str, Place]:
    """The places with their files found from the folder of the settings."""
    return {
        name: msgspec.structs.replace(place, url_file=str(folder / place.url_file)) if place.url_file else place
        for name, place in places.items()
    }


def _composing(world: World, wish: Wish, base_url: str) -> Compose:
    def compose(told: Mapping[str, object]) -> tuple[str, str] | None:
        return world.store.read(lambda tx: noticing.compose(world, tx, told, wish, base_url))

    return compose


def _check(name: str, place: Place) -> None:
    try:
        check_log(name)
    except LedgerError as error:
        raise ConfigurationError(
            f"expected a name of a-z, 0-9, `_`, `.` and `-` for a place, found `{name[:80]}`"
        ) from error
    if not place.events:
        raise ConfigurationError(f"expected some of `events` for the place `{name}`, found none")
    if unknown := sorted(set(place.risks) - _RISKS):
        known = ", ".join(f"`{risk}`" for risk in sorted(_RISKS))
        raise ConfigurationError(f"expected some of {known} for the place `{name}`, found `{unknown[0][:40]}`")


def _addresses(name: str, place: Place) -> list[str]:
    if bool(place.url_file) is bool(place.url_env):
        raise ConfigurationError(f"expected either `url_file` or `url_env` for the place `{name}`, found both or none")
    if place.url_env:
        text = os.environ.get(place.url_env, "")
        source = f"the variable `{place.url_env}`"
    else:
        text, source = _read(place.url_file), f"`{place.url_file}`"
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise ConfigurationError(f"expected an address for the place `{name}` in {source}, found none")
    return found


def _read(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigurationError(f"`{name}` cannot be read: {why}") from error
