"""Facts from the token of whoever calls: claims that were verified when it was let in, not what the request says.

    token: {kind: claims, pointers: {subject.department: /employment/department}}

A claim is found by its pointer (RFC 6901) or, without one, by the fact's name. One that the token lacks is absent. A
caller that came without a token has no claims, and then the facts are unknown: nobody said that there is none.

Clauses: S1.1, S2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.adapters import outside
from demur.adapters.breaker import UnfitError
from demur.adapters.static_tables import column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.schema import Fact, Source
    from demur.core.terms import Request, State

KIND = "claims"


class ClaimsSource:
    """`ports.FactSource` over the claims that travel with a request."""

    is_local = True

    def __init__(self, source: Source) -> None:
        self._pointers = outside.table(source, "pointers")

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        claims = request.claims
        if claims is None:
            raise UnfitError("the caller came without a token, so nothing is known of its claims")
        return {
            path: outside.at(claims, self._pointers[path]) if path in self._pointers else column(claims, path)
            for path in paths
        }


def open_claims(source: Source, facts: Sequence[Fact]) -> ClaimsSource:
    """Opens a source of kind `claims`."""
    del facts
    return ClaimsSource(source)
