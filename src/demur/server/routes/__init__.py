"""Everything but the hot routes, one noun per file: each file ends in its `ROUTES`, and here they are joined."""

from demur.server.route import Route
from demur.server.routes import (
    assignments,
    decisions,
    grants,
    ledger,
    levers,
    people,
    policies,
    resolutions,
    reviews,
    sessions,
    standing,
    subjects,
    tasks,
)

ROUTES: tuple[Route, ...] = (
    *decisions.ROUTES,
    *grants.ROUTES,
    *policies.ROUTES,
    *ledger.ROUTES,
    *sessions.ROUTES,
    *levers.ROUTES,
    *people.ROUTES,
    *subjects.ROUTES,
    *reviews.ROUTES,
    *assignments.ROUTES,
    *resolutions.ROUTES,
    *standing.ROUTES,
    *tasks.ROUTES,
)
