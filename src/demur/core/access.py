"""Who may do what: roles, acts, and the one table that joins them.

- Whoever calls is an `Identity`, authenticated elsewhere: a program with a credential or a person who logged in. It
  belongs to one tenant, and nothing of another tenant exists for it.
- Every act needs one of the roles that the table names. No role includes another: an administrator who shall also rule
  on reviews is given both, and the record of that says so.
- Whoever wrote a change of policies is not the one who puts it in force, whatever their roles (S12).
- A program speaks for the subjects that its credential names, and as the actor that it is bound to (S1.1).

Clauses: S1.1, S7.4, S12.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Entity, Timestamp
from demur.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What somebody is trusted with, within one tenant."""

    CALLER = "caller"
    AUTHOR = "author"
    APPROVER = "approver"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Act(StrEnum):
    """What can be done to a gate from outside."""

    EVALUATE = "evaluate"
    SEARCH = "search"
    EXPLAIN = "explain"
    GRANT_USE = "grant_use"
    GRANT_REVOKE = "grant_revoke"
    DECISION_READ_OWN = "decision_read_own"
    DECISION_READ = "decision_read"
    REVEAL = "reveal"
    TASK = "task"
    REVIEW_READ = "review_read"
    REVIEW_ASSIGN = "review_assign"
    REVIEW_RULE = "review_rule"
    STANDING_READ = "standing_read"
    STANDING_GRANT = "standing_grant"
    STANDING_REVOKE = "standing_revoke"
    POLICY_READ = "policy_read"
    POLICY_PROPOSE = "policy_propose"
    POLICY_ACTIVATE = "policy_activate"
    CHECKPOINT_READ = "checkpoint_read"
    LEDGER_READ = "ledger_read"
    SESSION_READ = "session_read"
    SESSION_MOVE = "session_move"
    LEVER_READ = "lever_read"
    LEVER_MOVE = "lever_move"
    SUBJECT_EXPORT = "subject_export"
    SUBJECT_ERASE = "subject_erase"
    IDENTITY_READ = "identity_read"
    IDENTITY_MANAGE = "identity_manage"


_STAFF = frozenset(Role) - {Role.CALLER}
ALLOWED: Mapping[Act, frozenset[Role]] = {
    Act.EVALUATE: frozenset({Role.CALLER}),
    Act.SEARCH: frozenset({Role.CALLER}),
    Act.EXPLAIN: frozenset({Role.AUTHOR, Role.APPROVER, Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}),
    Act.GRANT_USE: frozenset({Role.CALLER}),
    Act.GRANT_REVOKE: frozenset({Role.OPERATOR}),
    Act.DECISION_READ_OWN: frozenset({Role.CALLER}),
    Act.DECISION_READ: frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}),
    Act.REVEAL: frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}),
    Act.TASK: frozenset({Role.CALLER}),
    Act.REVIEW_READ: frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}),
    Act.REVIEW_ASSIGN: frozenset({Role.REVIEWER, Role.OPERATOR}),
    Act.REVIEW_RULE: frozenset({Role.REVIEWER}),
    Act.STANDING_READ: frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}),
    Act.STANDING_GRANT: frozenset({Role.REVIEWER}),
    Act.STANDING_REVOKE: frozenset({Role.REVIEWER, Role.OPERATOR}),
    Act.POLICY_READ: _STAFF,
    Act.POLICY_PROPOSE: frozenset({Role.AUTHOR}),
    Act.POLICY_ACTIVATE: frozenset({Role.APPROVER}),
    Act.CHECKPOINT_READ: frozenset(Role),
    Act.LEDGER_READ: frozenset({Role.AUDITOR}),
    Act.SESSION_READ: frozenset({Role.OPERATOR, Role.AUDITOR}),
    Act.SESSION_MOVE: frozenset({Role.OPERATOR}),
    Act.LEVER_READ: frozenset({Role.OPERATOR, Role.AUDITOR}),
    Act.LEVER_MOVE: frozenset({Role.OPERATOR}),
    Act.SUBJECT_EXPORT: frozenset({Role.ADMINISTRATOR}),
    Act.SUBJECT_ERASE: frozenset({Role.OPERATOR}),
    Act.IDENTITY_READ: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
    Act.IDENTITY_MANAGE: frozenset({Role.ADMINISTRATOR}),
}
"""Every act has a row; a test holds that no act is without one."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, as authenticated.

    `actor` is the agent that the credential is bound to. `subjects` are the patterns, such as `user:*`, of those it may
    speak for beside itself. `obligations` are the types that it is registered as able to carry out. `owner` is the
    account of the person who answers for a program, or who it is.
    """

    id: str
    tenant: str
    roles: frozenset[Role]
    is_person: bool = False
    actor: Entity | None = None
    subjects: tuple[str, ...] = ()
    obligations: frozenset[str] = frozenset()
    owner: str = ""
    expires_at: Timestamp | None = None
    claims: dict[str, object] | None = None
    """What its verified token says, for sources of kind `claims`; `None` for whoever came without one."""

    @property
    def name(self) -> str:
        """How records of what operators do name it: a person by name, as their rulings do."""
        return self.id.partition(":")[2] if self.is_person else self.id

    @property
    def author(self) -> str:
        """Whose change it is that this identity makes: a person's own, also where a program of theirs makes it."""
        return self.owner or self.id


def check(identity: Identity, act: Act, *, tenant: str, now: Timestamp) -> None:
    """Raises `AccessError` unless this identity may do this act in this tenant, now."""
    if identity.expires_at is not None and now >= identity.expires_at:
        raise AccessError(f"expected a credential that is in force, found one that ended at {identity.expires_at}")
    if identity.tenant != tenant:
        # The same words whether or not such a tenant exists: its name must not be found out by asking.
        raise AccessError("expected a credential of this tenant, found another's")
    if identity.roles.isdisjoint(ALLOWED[act]):
        wanted = "`, `".join(sorted(ALLOWED[act]))
        found = "`, `".join(sorted(identity.roles)) or "none"
        raise AccessError(f"expected one of the roles `{wanted}` for `{act}`, found `{found}`")


def check_activation(identity: Identity, *, author: str) -> None:
    """Raises `AccessError` where whoever wrote a change of policies would put it in force themselves (S12)."""
    if not author or identity.author == author:
        raise AccessError(
            "expected somebody other than the author to put policies in force, found the author",
            hint="ask another person with the role `approver`",
        )


def check_subject(identity: Identity, subject: Entity) -> None:
    """Raises `AccessError` where somebody speaks for a subject that the credential does not name (S1.1)."""
    kind, _, own = identity.id.partition(":")
    # The own id is no pattern: somebody called `*` speaks for nobody else.
    if (kind, own) == (subject.type, subject.id) or any(_names(pattern, subject) for pattern in identity.subjects):
        return
    raise AccessError(
        "expected a subject that this credential may speak for, found another",
        hint="an administrator adds a pattern such as `user:*` to the credential",
    )


def _names(pattern: str, subject: Entity) -> bool:
    """Type and id are matched apart, so that a type with a colon in it can pass for no other. Only `*` is special."""
    named = _pattern(pattern)
    return named is not None and named[0] in {subject.type, "*"} and named[1].fullmatch(subject.id) is not None


@lru_cache(maxsize=4_096)
def _pattern(text: str) -> tuple[str, re.Pattern[str]] | None:
    """The type and the ids that a pattern names; `None` for one without a colon, which names nobody."""
    kind, colon, rest = text.partition(":")
    return (kind, re.compile(".*".join(map(re.escape, rest.split("*"))), re.DOTALL)) if colon else None
