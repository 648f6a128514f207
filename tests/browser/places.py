"""Every page of the console, with an address under which a house can show it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from demur.console.pages import PAGES
from demur.ports import Transaction
from demur.steps import linking, ruling
from tests.browser.house import TENANTS, House


@dataclass(frozen=True)
class Place:
    """One page as it can be asked for."""

    name: str
    path: str
    status: int = 200


def filled(path: str, known: dict[str, str]) -> str:
    """The path with its parameters; a parameter that nobody knows fails, so that no page stays unseen."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: known[found[1]], path)


def parameters(house: House, tenant: str = TENANTS[0]) -> dict[str, str]:
    """What stands in paths: the review whose deadline is last, the newest record of a decision, the policies in force."""
    gate = house.service.tenants.gate(tenant)
    waiting = gate.reviews(limit=50)
    groups: dict[tuple[object, str], list[str]] = {}
    for one in waiting:
        groups.setdefault((one.panels, one.risk), []).append(one.id)
    alike = max((ids for (_, risk), ids in groups.items() if risk in {"low", "medium"}), key=len, default=[])
    numbers = [leaf["sequence"] for leaf in house.records("decision", tenant)]
    version = gate.policy_version
    return {
        "review": waiting[-1].id if waiting else "none",
        "sequence": str(numbers[-1]) if numbers else "0",
        "digest": version,
        "version": version,
        "name": "mara",
        "last": alike[-1] if alike else "none",
        "alike": "&review=".join(alike[:5]),
        "link": link(house, waiting[-1].id, tenant) if waiting else "none",
        **dict.fromkeys(("stop_id", "opening_id", "key", "standing", "standing_id", "delegation"), "none"),
    }


def link(house: House, review: str, tenant: str = TENANTS[0], person: str = "olga") -> str:
    """What this person was sent to decide this review with."""
    world = house.service.tenants.parts(tenant).world

    def issue(tx: Transaction) -> str:
        row = tx.find_review(review)
        return "none" if row is None else linking.issue(world, ruling.decode(row), person, tx.now)

    return world.store.read(issue)


def places(house: House) -> list[Place]:
    """Every page that is read, and pages that tell that something cannot be done."""
    known = parameters(house)
    found = [
        Place(re.sub(r"[/{}]+", "-", page.path).strip("-"), filled(page.path + QUERIES.get(page.path, ""), known))
        for page in PAGES
        if page.method == "GET" and page.path not in TAKEN_AWAY
    ]
    return [
        *found,
        Place("missing-page", "/desk/no-such-page", 404),
        Place("missing-review", "/desk/reviews/no-such-review", 404),
    ]


QUERIES = {"/desk/bulk": "?review={alike}", "/desk/standing/new": "?review={last}"}
"""What an address cannot do without."""
TAKEN_AWAY = frozenset({"/desk/ledger/proof"})
"""What is a file, not a page."""
DOORS = (Place("login", "/login"), Place("welcome", "/welcome?link=demur-link-x"))
"""Pages of strangers."""
