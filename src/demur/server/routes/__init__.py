"""Everything but the hot routes, one noun per file: each file ends in its `ROUTES`, and here they are joined."""

from demur.server.route import Route
from demur.server.routes import (
    decisions,
    grants,
    ledger,
    levers,
    people,
    policies,
    resolutions,
    reviews,
    sessions,
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
    *resolutions.ROUTES,
    *tasks.ROUTES,
)
