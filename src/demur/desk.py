"""What reviewers do at a gate: see what waits, take it, give it back or on, rule on it, stand in for one another.

Every act takes the credential of the person who does it. The rules are in core/review.py, core/panel.py and
core/delegation.py, the steps in steps/ruling.py, steps/assigning.py and steps/delegating.py. `Gateway` is the whole
of it.

Clauses: S7.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from demur.consulting import Consulting
from demur.core.review import OPEN, Verdict
from demur.errors import RulingError
from demur.steps import assigning, delegating, narrowing, noticing, queue, routing, ruling, telling
from demur.steps.assigning import LEASE_SECONDS, Somebody
from demur.steps.levers import Act
from demur.steps.routing import Moved, Router
from demur.steps.ruling import Said
from demur.steps.session import Session
from demur.steps.telling import News

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.core.delegation import Delegation
    from demur.core.policy.document import Narrowing
    from demur.core.review import Review, Reviewer, ReviewState
    from demur.core.terms import Timestamp
    from demur.steps.queue import Waiting
    from demur.steps.ruling import ReviewRequest


class Desk(Consulting):
    """The part of a gate that reviewers use."""

    def reviews(
        self,
        *,
        states: tuple[ReviewState, ...] = OPEN,
        limit: int = 100,
        after: tuple[Timestamp, str] | None = None,
    ) -> tuple[Review, ...]:
        """The reviews in these states, the earliest deadline first, those after this deadline and id.

        At most `ruling.MAX_LISTED` at a time. Raises `StoreError`.
        """
        active = self._active
        return self._do(active, lambda session: ruling.list_reviews(session, states=states, limit=limit, after=after))

    def review(self, review_id: str) -> ReviewRequest | None:
        """One review as a reviewer sees it; raises `StoreError` and `LedgerError`."""
        active = self._active
        return self._world.store.read(lambda tx: ruling.show(Session(self._world, active, tx), review_id))

    def rule(
        self,
        review_id: str,
        *,
        verdict: str,
        reason: str,
        credential: str,
        narrows: Collection[Narrowing] = (),
        grant_seconds: int | None = None,
        on_behalf: str = "",
    ) -> Review:
        """Approve or reject a deferred action, as the person whose credential this is.

        `narrows` and `grant_seconds` approve less than was asked: what is left is judged by the policies in force, and
        the approval refused where they would not allow it. `on_behalf` names the person in whose place the verdict is
        given; left out, it is in the reviewer's own right where that is possible, else in the place of whoever lent
        them the role. Raises `RulingError` where that person may not rule, or not any more, `ConfigurationError` where
        the reviewers cannot be read, and `StoreError` where it cannot be recorded.
        """
        who = self._somebody(credential)
        said = Said(_verdict(verdict), ruling.check_reason(reason), tuple(narrows), grant_seconds, on_behalf)
        active = self._in_force()
        narrowed = narrowing.prepare(self._world, active, review_id, said) if said.narrows else None

        def judge(session: Session, before: Review) -> RulingError | None:
            return None if narrowed is None else narrowing.object_to(session, narrowed, before)

        after = _done(
            self._do(active, lambda session: ruling.rule(session, who.person, review_id, said, who.lent, judge))
        )
        telling.tell_ruling(self._world, after)
        return after

    def take(self, review_id: str, *, credential: str, seconds: int = LEASE_SECONDS) -> Review:
        """Hold a review for a while, so that nobody else rules on it meanwhile; again, to hold it longer.

        Raises as `rule`, and where somebody else holds it.
        """
        who = self._somebody(credential)
        return self._moved(self._do(self._active, lambda session: assigning.take(session, who, review_id, seconds)))

    def give_back(self, review_id: str, *, credential: str) -> Review:
        """Give back a review that one holds; an operator, one that somebody else holds. Raises as `rule`."""
        who = self._somebody(credential)
        return self._moved(self._do(self._active, lambda session: assigning.release(session, who, review_id)))

    def assign(
        self, review_id: str, *, to: str, credential: str, seconds: int = LEASE_SECONDS, reason: str = ""
    ) -> Review:
        """Give a review to the person named `to`, who must be able to rule on it; raises as `rule`."""
        by, person = self._somebody(credential), self._named(to)
        whom = Somebody(person, delegating.loans(self._world, person))
        text = reason[: ruling.MAX_REASON]
        return self._moved(
            self._do(self._active, lambda session: assigning.assign(session, by, whom, review_id, seconds, text))
        )

    def route(self) -> tuple[Moved, ...]:
        """Do what time asks of the reviews: expire, give back, put before others, assign; what was done, in order.

        A gate with a home does this by itself. Most of it happens without the append lock; raises `StoreError`, and
        `ConfigurationError` where the reviewers cannot be read.
        """
        active, world = self._active, self._world
        people = world.reviewers.everybody()
        due = world.store.read(lambda tx: self._router.look(Session(world, active, tx), people))
        moved = self._do(active, lambda session: routing.route_due(session, due, people)) if due else ()
        for what, review in moved:
            told = {"review_id": review.id, "status": review.state.value, "holder": review.holder}
            telling.tell_news(world, [News(f"governance.review.{what}", review.id, {**told, "level": review.level})])
        return moved

    def remind(self, seconds: float) -> int:
        """Record the open reviews whose deadline is nearer than this, each once, so that people can be told; how many.

        Raises `StoreError`.
        """
        if not self._world.store.read(lambda tx: noticing.has_near(tx, seconds)):
            return 0
        return self._do(self._active, lambda session: noticing.remind(session, seconds))

    def queue(self) -> Waiting:
        """How many reviews wait, and for how long the oldest has; raises `StoreError`."""
        active = self._active
        return self._world.store.read(lambda tx: queue.state(Session(self._world, active, tx)))

    @cached_property
    def _router(self) -> Router:
        return Router()

    def delegate(
        self, *, to: str, until: Timestamp, roles: Collection[str] = (), credential: str, reason: str
    ) -> Delegation:
        """Lend review roles (all of one's own where none is named) to the person named `to`, until an instant.

        Raises `RulingError` where that may not be lent, `ConfigurationError` and `StoreError`.
        """
        who = Act(self._world, self._world.reviewers.identify(credential), ruling.check_reason(reason))
        person = self._named(to)
        opened = self._do(self._active, lambda session: delegating.lend(session, who, person, roles, until))
        told = {"delegate": opened.delegate, "until": str(opened.until)}
        telling.tell_news(self._world, [who.news("governance.review.delegation_opened", opened.id, **told)])
        return opened

    def delegations(self) -> list[dict[str, object]]:
        """The delegations that are in force, with names and reasons; raises `StoreError`."""
        return self._world.store.read(lambda tx: delegating.describe(tx, self._world.vault))

    def end_delegation(self, delegation_id: str, *, credential: str, reason: str) -> None:
        """End a delegation before its time: for either of the two, and for operators. Raises as `delegate`."""
        who = Act(self._world, self._world.reviewers.identify(credential), ruling.check_reason(reason))
        self._do(self._active, lambda session: delegating.end(session, who, delegation_id))
        telling.tell_news(self._world, [who.news("governance.review.delegation_closed", delegation_id)])

    def _somebody(self, credential: str) -> Somebody:
        person = self._world.reviewers.identify(credential)
        return Somebody(person, delegating.loans(self._world, person))

    def _named(self, name: str) -> Reviewer:
        person = self._world.reviewers.named(name)
        if person is None:
            raise RulingError(f"expected the name of a reviewer, found `{name[:128]}`")
        return person

    def _moved(self, after: Review | RulingError) -> Review:
        moved = _done(after)
        told = {"review_id": moved.id, "status": moved.state.value, "holder": moved.holder}
        what = "assigned" if moved.holder else "released"
        telling.tell_news(self._world, [News(f"governance.review.{what}", moved.id, dict(told))])
        return moved


def _verdict(text: str) -> Verdict:
    try:
        return Verdict(text)
    except ValueError as error:
        message = f"expected `approve` or `reject`, found `{text[:40]}`"
        raise RulingError(message) from error


def _done(after: Review | RulingError) -> Review:
    if isinstance(after, RulingError):
        raise after
    return after
