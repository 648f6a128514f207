"""Policies: which are in force, a proposal by one person, put in force by another, taken back.

Clauses: S3.7, S12.
"""

from __future__ import annotations

import msgspec

from demur.core import access
from demur.core.access import Act
from demur.server.route import Call, Route
from demur.wiring import proposals

MAX_PROPOSAL_BYTES = 4 << 20
"""Of a whole folder of documents as JSON, some thousand rules with their tables."""


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The digest of the policies in force, and the actions that they declare."""

    policy_version: str
    actions: tuple[str, ...]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A whole folder of documents, by their names: policies, and the tables that static sources read."""

    files: dict[str, str]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The digest of policies."""

    policy_version: str


async def show(call: Call) -> object:
    """The policies in force."""
    return InForce(policy_version=call.gate.policy_version, actions=call.gate.listed("action.name"))


async def propose(call: Call) -> object:
    """Check policies and keep them as a proposal. Nothing changes until somebody else puts it in force."""
    files, author = call.given(Proposal).files, call.identity.author
    return Version(policy_version=await call.run(lambda: proposals.propose(call.parts, files, author=author)))


async def activate(call: Call) -> object:
    """Put a proposal in force. Never by its author."""
    digest, person = call.given(Version).policy_version, call.identity.author
    is_author = await call.run(lambda: proposals.is_author(call.parts, digest, person))
    access.check_activation(call.identity, author=person if is_author else "somebody else")
    return Version(
        policy_version=await call.run(lambda: proposals.put_in_force(call.parts, digest, by=call.identity.name))
    )


async def roll_back(call: Call) -> object:
    """Put what was in force before the last activation in force again."""
    return Version(policy_version=await call.run(lambda: proposals.take_back(call.parts, by=call.identity.name)))


ROUTES = (
    Route("GET", "/policies", Act.POLICY_READ, show, answers=InForce),
    Route(
        "POST",
        "/policies/proposals",
        Act.POLICY_PROPOSE,
        propose,
        reads=Proposal,
        answers=Version,
        status=201,
        example={"files": {"policies.yaml": "demur: 1\nnamespace: shop\nowner: shop\n"}},
        max_bytes=MAX_PROPOSAL_BYTES,
    ),
    Route(
        "POST",
        "/policies/activate",
        Act.POLICY_ACTIVATE,
        activate,
        reads=Version,
        answers=Version,
        example={"policy_version": "sha256:" + 64 * "0"},
    ),
    Route("POST", "/policies/rollback", Act.POLICY_ACTIVATE, roll_back, answers=Version),
)
