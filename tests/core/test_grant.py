"""Narrowing, and why a grant may not be redeemed (S3.5, S6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demur.core import grant
from demur.core.grant import Binding, Grant, GrantState, Objection
from demur.core.policy.document import Narrowing, Obligation
from demur.core.terms import Entity, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = Timestamp(10**18)
BINDING = Binding(action=b"a", policy="sha256:p")


@pytest.mark.parametrize(
    ("asked", "narrowing", "granted"),
    [
        ({"rows": 500}, Narrowing(argument="rows", at_most=100), {"rows": 100}),
        ({"rows": 50}, Narrowing(argument="rows", at_most=100), {"rows": 50}),
        ({"rows": 100}, Narrowing(argument="rows", at_most=100), {"rows": 100}),
        ({}, Narrowing(argument="rows", at_most=100), {"rows": 100}),
        ({"rows": 5}, Narrowing(argument="rows", at_least=10), {"rows": 10}),
        ({"rows": 15}, Narrowing(argument="rows", at_least=10), {"rows": 15}),
        ({"rows": 10}, Narrowing(argument="rows", at_least=10), {"rows": 10}),
        ({"rate": 0.5}, Narrowing(argument="rate", at_most=0.25), {"rate": 0.25}),
        ({"mode": "rw"}, Narrowing(argument="mode", set="ro"), {"mode": "ro"}),
        ({"mode": "rw", "x": 1}, Narrowing(argument="mode", set="ro"), {"mode": "ro", "x": 1}),
        ({"rows": True}, Narrowing(argument="rows", at_most=100), {"rows": 100}),
        ({"rows": 500}, Narrowing(argument="rows", at_most=100, at_least=10), {"rows": 100}),
        ({"rows": 5}, Narrowing(argument="rows", at_most=100, at_least=10), {"rows": 10}),
        ({}, Narrowing(argument="rows", at_least=10), {"rows": 10}),
    ],
)
def test_an_argument_is_narrowed(asked: dict[str, object], narrowing: Narrowing, granted: dict[str, object]) -> None:
    assert grant.narrow(asked, [narrowing]) == granted  # type: ignore[arg-type]  # plain values


def test_what_was_asked_is_left_as_it_was() -> None:
    asked: dict[str, object] = {"rows": 500}
    grant.narrow(asked, [Narrowing(argument="rows", at_most=1)])  # type: ignore[arg-type]  # plain values
    assert asked == {"rows": 500}


def objection(
    state: GrantState = GrantState.LIVE, *, left: int = 1, action: bytes = b"a", policy: str = "sha256:p"
) -> Objection | None:
    return grant.object_to(state, Timestamp(NOW.nanos + left), BINDING, now=NOW, action=action, policy=policy)


def code(state: GrantState = GrantState.LIVE, *, left: int = 1, action: bytes = b"a", policy: str = "sha256:p") -> str:
    found = objection(state, left=left, action=action, policy=policy)
    return found.code if found else ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (code(), ""),
        (code(GrantState.REVOKED), "grant_revoked"),
        (code(GrantState.REDEEMED), "grant_used"),
        (code(GrantState.COMPLETED), "grant_used"),
        (code(GrantState.FAILED), "grant_used"),
        (code(GrantState.UNKNOWN), "grant_used"),
        (code(left=0), "grant_expired"),
        (code(left=-1), "grant_expired"),
        (code(policy="sha256:q"), "policy_changed"),
        (code(action=b"b"), "action_differs"),
        (code(GrantState.REVOKED, left=-1, action=b"b"), "grant_revoked"),
    ],
)
def test_a_grant_is_redeemed_only_live_in_time_under_its_policies_for_its_action(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("required", "understood", "is_allowed"),
    [
        ((), (), True),
        (("log",), ("log", "mail"), True),
        (("log",), (), False),
        (("log", "mail"), ("log",), False),
        (("log",), None, False),
    ],
)
def test_every_obligation_must_be_understood(
    required: tuple[str, ...], understood: tuple[str, ...] | None, *, is_allowed: bool
) -> None:
    assert (grant.object_to_obligations(required, understood) is None) is is_allowed


def test_an_unknown_obligation_is_named() -> None:
    found = grant.object_to_obligations(("b", "a"), ())
    assert found is not None
    assert found.explanation == "the executor does not understand the obligations `a`, `b`"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (GrantState.LIVE, "grant_not_redeemed"),
        (GrantState.REVOKED, "grant_not_redeemed"),
        (GrantState.REDEEMED, ""),
        (GrantState.COMPLETED, "grant_completed"),
        (GrantState.FAILED, "grant_completed"),
        (GrantState.UNKNOWN, "grant_completed"),
    ],
)
def test_an_execution_is_completed_once_and_after_redemption(state: GrantState, expected: str) -> None:
    found = grant.object_to_completion(state)
    assert (found.code if found else "") == expected


def test_used_up_is_final_and_expired_can_be_asked_again() -> None:
    used = grant.object_to(GrantState.REDEEMED, NOW, BINDING, now=NOW, action=b"a", policy="sha256:p")
    late = grant.object_to(GrantState.LIVE, NOW, BINDING, now=NOW, action=b"a", policy="sha256:p")
    assert used is not None
    assert late is not None
    assert (used.disposition, late.disposition) == ("never_retry", "retry_after")
    assert (used.category, late.category) == ("state_conflict", "temporal")
    assert grant.unknown_grant().category == "scope_exceeded"


@pytest.mark.parametrize(
    ("ask", "category", "disposition", "explanation"),
    [
        (
            lambda: grant.object_to_completion(GrantState.LIVE),
            "state_conflict",
            "never_retry",
            "the grant was not redeemed, so nothing can have been carried out on it",
        ),
        (
            lambda: grant.object_to_completion(GrantState.FAILED),
            "state_conflict",
            "never_retry",
            "the end of this execution was reported already",
        ),
        (
            lambda: grant.object_to_revocation(GrantState.REDEEMED),
            "state_conflict",
            "never_retry",
            "expected a live grant, found one that is redeemed",
        ),
        (grant.unknown_grant, "scope_exceeded", "seek_authority", "there is no such grant"),
        (
            lambda: grant.object_to_obligations(("log",), ()),
            "policy_violation",
            "seek_authority",
            "the executor does not understand the obligations `log`",
        ),
    ],
    ids=["unredeemed", "completed", "not-live", "unknown", "obligation"],
)
def test_an_objection_says_why_and_what_can_be_done(
    ask: Callable[[], Objection | None], category: str, disposition: str, explanation: str
) -> None:
    found = ask()
    assert found is not None
    assert (found.category, found.disposition, found.explanation) == (category, disposition, explanation)


@pytest.mark.parametrize(
    ("given", "category", "disposition", "explanation"),
    [
        ({"state": GrantState.REVOKED}, "state_conflict", "never_retry", "the grant was revoked"),
        (
            {"state": GrantState.REDEEMED},
            "state_conflict",
            "never_retry",
            "the grant was redeemed already; a second execution needs a new decision",
        ),
        ({"left": 0}, "temporal", "retry_after", "the grant expired at 2001-09-09T01:46:40Z; ask again"),
        (
            {"policy": "sha256:q"},
            "state_conflict",
            "retry_after",
            "the policies changed since the grant was given; ask again",
        ),
        ({"action": b"b"}, "policy_violation", "modify", "the arguments are not those that were granted"),
    ],
    ids=["revoked", "used", "expired", "policies", "arguments"],
)
def test_a_refused_redemption_says_why_and_what_can_be_done(
    given: dict[str, object], category: str, disposition: str, explanation: str
) -> None:
    found = objection(**given)  # type: ignore[arg-type]  # as named above
    assert found is not None
    assert (found.category, found.disposition, found.explanation) == (category, disposition, explanation)


def test_the_revocation_of_a_grant_that_is_not_live_is_refused_by_its_code() -> None:
    assert grant.object_to_revocation(GrantState.COMPLETED).code == "grant_not_live"
    assert grant.unknown_grant().code == "grant_unknown"


def granted(trace_id: str = "t", request_id: str = "q") -> Grant:
    return Grant(
        id="g",
        token="secret",
        audit_id="a",
        action="refund",
        arguments={"rows": 1},
        resource=Entity(type="order", id="7"),
        expires_at=NOW.plus(30),
        constraints={"max_rows": 5},
        obligations=(Obligation(id="log", type="notify"),),
        policy_version="sha256:p",
        trace_id=trace_id,
        request_id=request_id,
        as_of=NOW,
    )


def test_a_grant_is_written_as_an_evaluation_that_allows() -> None:
    assert granted().to_dict() == {
        "decision": True,
        "context": {
            "outcome": "allow",
            "audit_id": "a",
            "confidence": "definite",
            "policy_version": "sha256:p",
            "trace_id": "t",
            "request_id": "q",
            "as_of": "2001-09-09T01:46:40Z",
            "grant": {
                "id": "g",
                "token": "secret",
                "expires_at": "2001-09-09T01:47:10Z",
                "constraints": {"max_rows": 5},
                "obligations": [{"id": "log", "type": "notify", "properties": {}}],
            },
        },
    }


def test_a_grant_without_a_trace_or_an_id_says_null() -> None:
    context = granted("", "").to_dict()["context"]
    assert isinstance(context, dict)
    assert (context["trace_id"], context["request_id"]) == (None, None)
