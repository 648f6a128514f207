"""Pictures of every page, over a home with a story in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser import browsing, story
from tests.browser.browsing import Visit
from tests.browser.house import House, Person, house
from tests.browser.places import DOORS, Place, places

SIZES = {"desk": browsing.DESK, "phone": browsing.PHONE}
SCHEMES = ("light", "dark")


def shoot(folder: Path, out: Path, *, only: str = "") -> None:
    """Write `<page>-<scheme>-<size>.png` for every page into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with house(folder, start=story.START) as opened, browsing.browser() as browser:
        story.tell(opened)
        olga = story.staff(opened)[0]
        for scheme in SCHEMES:
            for size in SIZES:
                for visit, place in _visits(browser, opened, olga, scheme, size):
                    if only in place.name:
                        visit.go(place.path)
                        visit.page.screenshot(path=out / f"{place.name}-{scheme}-{size}.png", full_page=True)
                        told = f"{place.name}-{scheme}-{size}.png"
                        sys.stdout.write(f"{told}{''.join(f'  FAULT {one}' for one in visit.faults)}\n")
                        visit.faults.clear()


def _visits(browser: Browser, opened: House, person: Person, scheme: str, size: str) -> Iterator[tuple[Visit, Place]]:
    with browsing.visiting(browser, opened, color_scheme=scheme, viewport=SIZES[size]) as stranger:
        for place in DOORS:
            yield stranger, place
        stranger.enter(person)
        for place in _shown(opened):
            yield stranger, place


def _shown(opened: House) -> list[Place]:
    """Every page, and each review that waits: they differ."""
    waiting = opened.service.tenants.gate("harbour").reviews(limit=4)
    more = [Place(f"desk-reviews-waiting-{number}", f"/desk/reviews/{one.id}") for number, one in enumerate(waiting)]
    return [*places(opened), *more]
