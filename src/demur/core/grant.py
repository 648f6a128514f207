"""Decision -> Grant: permission for exactly one action, once, for a short time.

- A grant is bound to log, actor, subject, action digest (narrowed), policy digest and obligations (S6.1).
- Redeeming takes the actual arguments. It is refused where the grant is unknown, revoked, used or expired, where the
  active policies differ, or where the arguments are not exactly those that were granted (S6.2).
- An obligation that the executor does not know means no execution (S6.4).
- Narrowing changes the action before it is granted and digested (S3.5).

Clauses: S6, S3.5.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.policy.document import Narrowing, Obligation
from demur.core.terms import Audience, Bar, Category, Disposition, Entity, Missing, Outcome, State, Timestamp, Value
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

DEFAULT_SECONDS = 30
"""How long a grant lives unless the policy says otherwise (S6.1)."""


class GrantState(StrEnum):
    """The life of a grant. Expiry is a matter of the clock, not a state."""

    LIVE = "live"
    REDEEMED = "redeemed"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


class Completion(StrEnum):
    """How an execution ended, as its executor reports it (S6.3)."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """An allow: the narrowed action that may be carried out once before `expires_at`, with `token` as its proof."""

    id: str
    token: str
    audit_id: str
    action: str
    arguments: dict[str, Value]
    resource: Entity
    expires_at: Timestamp
    constraints: dict[str, object] = {}
    obligations: tuple[Obligation, ...] = ()
    policy_version: str = ""
    trace_id: str = ""
    request_id: str = ""
    as_of: Timestamp
    checkpoint: str = ""
    """The newest signed checkpoint of the ledger when this left, to be kept by whoever gets it; "" where none."""

    @property
    def outcome(self) -> Outcome:
        """Always `allow`."""
        return Outcome.ALLOW

    def to_dict(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, object]:
        """The AuthZEN evaluation response of wire.md; a grant says the same to every audience."""
        del audience, locale
        return {
            "decision": True,
            "context": {
                "outcome": self.outcome.value,
                "audit_id": self.audit_id,
                "confidence": "definite",
                "policy_version": self.policy_version,
                "trace_id": self.trace_id or None,
                "request_id": self.request_id or None,
                "as_of": str(self.as_of),
                "grant": {
                    "id": self.id,
                    "token": self.token,
                    "expires_at": str(self.expires_at),
                    "constraints": self.constraints,
                    "obligations": [msgspec.to_builtins(item) for item in self.obligations],
                },
                **({"checkpoint": self.checkpoint} if self.checkpoint else {}),
            },
        }


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored grant is bound to. Digests are blinded, so that the row names nobody."""

    action: bytes
    policy: str
    obligations: tuple[str, ...] = ()
    reviews: tuple[str, ...] = ()
    rechecks: tuple[str, ...] = ()
    break_glass: str = ""
    """The opening that gave it, where the policies alone would not have (S12)."""


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """The grant was redeemed: its record is durable and the action may be carried out now, once."""

    grant_id: str
    audit_id: str
    arguments: dict[str, Value]
    obligations: tuple[Obligation, ...] = ()
    mark_key: str = ""
    """For a meter beside the resource: the key under which it marks what it saw. It is kept nowhere (core/meter.py)."""


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """Why a grant may not be redeemed or completed: a token for the record and words for people."""

    code: str
    category: Category
    disposition: Disposition
    explanation: str
    bar: Bar | None = None
    """Where it is no matter of the grant, and has words in every locale."""


def narrow(arguments: Mapping[str, Value], narrows: Sequence[Narrowing]) -> dict[str, Value]:
    """The arguments as granted. A bound applies to an argument left out too: leaving it out must not mean no bound."""
    narrowed = dict(arguments)
    for item in narrows:
        if item.set is not None:
            narrowed[item.argument] = item.set
        else:
            narrowed[item.argument] = _bounded(narrowed.get(item.argument, Missing.ABSENT), item)
    return narrowed


def _bounded(value: State, item: Narrowing) -> Value:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return item.at_most if item.at_most is not None else item.at_least
    if item.at_most is not None and value > item.at_most:
        return item.at_most
    if item.at_least is not None and value < item.at_least:
        return item.at_least
    return value


def object_to(
    state: GrantState, expires_at: Timestamp, binding: Binding, *, now: Timestamp, action: bytes, policy: str
) -> Objection | None:
    """Why this grant may not be redeemed now for the action with the blinded digest `action`; `None` if it may."""
    if state is GrantState.REVOKED:
        return _conflict("grant_revoked", "the grant was revoked")
    if state is not GrantState.LIVE:
        return _conflict("grant_used", "the grant was redeemed already; a second execution needs a new decision")
    if now >= expires_at:
        return Objection(
            code="grant_expired",
            category=Category.TEMPORAL,
            disposition=Disposition.RETRY_AFTER,
            explanation=f"the grant expired at {expires_at}; ask again",
        )
    if binding.policy != policy:
        return Objection(
            code="policy_changed",
            category=Category.STATE_CONFLICT,
            disposition=Disposition.RETRY_AFTER,
            explanation="the policies changed since the grant was given; ask again",
        )
    if binding.action != action:
        return Objection(
            code="action_differs",
            category=Category.POLICY_VIOLATION,
            disposition=Disposition.MODIFY,
            explanation="the arguments are not those that were granted",
        )
    return None


def object_to_obligations(required: Collection[str], understood: Collection[str] | None) -> Objection | None:
    """Why an executor that understands only some obligation types may not act; `None` if it may (S6.4)."""
    unknown = sorted(set(required).difference(understood or ()))
    if not unknown:
        return None
    return Objection(
        code="obligation_not_understood",
        category=Category.POLICY_VIOLATION,
        disposition=Disposition.SEEK_AUTHORITY,
        explanation=f"the executor does not understand the obligations {', '.join(f'`{name}`' for name in unknown)}",
    )


def check_repeated(grant: Grant, understands: Collection[str] | None) -> None:
    """Raises `IntakeError` where the stored grant is not for whoever repeats its request any more (S1.4, S6.4)."""
    required = [item.type for item in grant.obligations]
    if understands is not None and (objection := object_to_obligations(required, understands)) is not None:
        raise IntakeError(
            "/request_id",
            expected="an id whose answer this caller can carry out",
            found=objection.explanation,
            hint="register the caller for these obligations, or use a fresh request id",
        )


def unknown_grant() -> Objection:
    """No grant has this id and token. Which of the two was wrong is not told."""
    return Objection(
        code="grant_unknown",
        category=Category.SCOPE_EXCEEDED,
        disposition=Disposition.SEEK_AUTHORITY,
        explanation="there is no such grant",
    )


def erased() -> Objection:
    """What was granted cannot be read any more, so nobody can say whether this is it (S5.5)."""
    return _conflict("person_erased", "the person whom this grant is for was erased; nothing may be carried out on it")


def object_to_completion(state: GrantState) -> Objection | None:
    """Why an execution may not be reported as ended; `None` if it may: once, after redemption."""
    if state in {GrantState.REDEEMED, GrantState.STARTED}:
        return None
    if state in {GrantState.LIVE, GrantState.REVOKED}:
        return _conflict("grant_not_redeemed", "the grant was not redeemed, so nothing can have been carried out on it")
    return _conflict("grant_completed", "the end of this execution was reported already")


def object_to_start(state: GrantState) -> Objection | None:
    """Why an execution may not be reported as begun; `None` if it may: once, between redemption and its end."""
    if state is GrantState.STARTED:
        return _conflict("grant_started", "the beginning of this execution was reported already")
    return None if state is GrantState.REDEEMED else object_to_completion(state)


def object_to_revocation(state: GrantState) -> Objection:
    """Why a grant in this state cannot be taken back any more."""
    return _conflict("grant_not_live", f"expected a live grant, found one that is {state.value}")


def _conflict(code: str, explanation: str) -> Objection:
    return Objection(
        code=code,
        category=Category.STATE_CONFLICT,
        disposition=Disposition.NEVER_RETRY,
        explanation=explanation,
    )
