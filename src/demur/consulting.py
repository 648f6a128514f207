"""The part of a gate that tells what people decided before, and by which they approve in advance.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.accounting import Accounted
from demur.steps import precedents, ruling, standing, telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.review import Reviewer
    from demur.core.scope import Scope
    from demur.core.standing import Standing
    from demur.steps.precedents import Precedent
    from demur.steps.session import Session
    from demur.steps.standing import Proposal, Told
    from demur.steps.telling import News


class Consulting(Accounted):
    """What a reviewer may look up before ruling, and approve for the next time."""

    def precedents(self, review_id: str, *, limit: int = 3) -> tuple[Precedent, ...]:
        """What people ruled on cases most like this one, the most alike first; none where there is no such review.

        Of two or more, one was denied where any was. Nobody who was erased is in them. Raises `StoreError`.
        """
        world, policies = self._world, self._active.policies
        return world.store.read(lambda tx: precedents.find(tx, world.vault, policies, review_id, limit=limit))

    def standing(self) -> tuple[Told, ...]:
        """The standing approvals that wait or live, the oldest first, then those that ended last. Raises `StoreError`.

        Those that have ended by themselves are recorded as ended first.
        """
        world, policies = self._world, self._active.policies

        def work(session: Session) -> tuple[Told, ...]:
            standing.end_due(session.tx)
            return standing.describe(session.tx, world.vault, policies)

        return self._do(self._active, work)

    def standing_propose(self, review_id: str) -> Proposal:
        """What could be approved in advance, going by what people approved of cases like this review's.

        Nothing is made by it. Raises `RulingError` where too little was approved, and `StoreError`.
        """
        world, policies = self._world, self._active.policies
        return world.store.read(lambda tx: standing.propose(tx, world.vault, policies, review_id))

    def standing_grant(self, what: Scope | str, *, credential: str, reason: str) -> Standing:
        """Approve in advance what this scope covers, or agree to a standing approval, by its id, that waits for people.

        By a person with the role that the rule asks for; it lives once the rule's quorum is complete. Raises
        `RulingError` where that person may not or the scope is unsound, and `StoreError`.
        """
        if isinstance(what, str):
            return self._by_person(credential, reason, lambda on, who, why: standing.agree(on, who, what, why))
        return self._by_person(credential, reason, lambda on, who, why: standing.open_(on, who, what, why))

    def standing_revoke(self, standing_id: str, *, credential: str, reason: str) -> Standing:
        """End a standing approval: nothing more is granted on it. By whoever may grant it, or an operator.

        Raises `RulingError` where there is none in force or that person may not, and `StoreError`.
        """
        return self._by_person(credential, reason, lambda on, who, why: standing.revoke(on, who, standing_id, why))

    def _by_person(self, credential: str, reason: str, step: Callable[[Session, Reviewer, str], Standing]) -> Standing:
        text = ruling.check_reason(reason)
        reviewer = self._world.reviewers.identify(credential)
        news: list[News] = []

        def work(session: Session) -> Standing:
            done = step(session, reviewer, text)
            news[:] = session.news
            return done

        done = self._do(self._active, work)
        telling.tell_news(self._world, news)
        return done
