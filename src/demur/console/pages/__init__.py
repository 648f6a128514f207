"""Every page of the console, one noun per file: each file ends in its `PAGES`, and here they are joined."""

from demur.console.page import Page
from demur.console.pages import (
    bulk,
    decision,
    decisions,
    delegations,
    ledger,
    levers,
    links,
    overview,
    people,
    playground,
    policies,
    queue,
    review,
    sessions,
    standing,
)

PAGES: tuple[Page, ...] = (
    *queue.PAGES,
    *review.PAGES,
    *links.PAGES,
    *bulk.PAGES,
    *delegations.PAGES,
    *standing.PAGES,
    *overview.PAGES,
    *decisions.PAGES,
    *decision.PAGES,
    *ledger.PAGES,
    *sessions.PAGES,
    *levers.PAGES,
    *policies.PAGES,
    *playground.PAGES,
    *people.PAGES,
)
