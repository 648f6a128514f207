"""What a store keeps: rows with the few columns that it must search by, beside bytes that are the domain's."""

from __future__ import annotations

import msgspec

from demur.core.terms import Timestamp

ENDED_STATES = ("approved", "denied", "executed", "reserved")
"""The states of a review on which people have ruled (`core.review.ReviewState`)."""


class RequestRow(msgspec.Struct, frozen=True):
    """Remembers an answered request (S1.4): `key` blinds caller and request id, `digest` blinds the action digest."""

    key: bytes
    digest: bytes
    sequence: int


class GrantRow(msgspec.Struct, frozen=True):
    """A grant as stored; `body` is the domain's. States: live, redeemed, completed, failed, unknown, revoked."""

    id: str
    token_hash: bytes
    sequence: int
    state: str
    expires_at: Timestamp
    body: bytes


class ReviewRow(msgspec.Struct, frozen=True):
    """A review as stored; `match` blinds log, action digest, subject and actor, so that an approval is found again.

    `topic` blinds action and resource type, by which precedents are found; b"" where it was not kept.
    """

    id: str
    sequence: int
    match: bytes
    state: str
    deadline: Timestamp
    body: bytes
    topic: bytes = b""


class SpendRow(msgspec.Struct, frozen=True):
    """One grant counted by one counter (S4.1). It counts until `expires_at` unless its grant was redeemed."""

    counter: str
    key: bytes
    at: Timestamp
    amount: int
    grant_id: str
    expires_at: Timestamp


class Usage(msgspec.Struct, frozen=True):
    """What a counter says: how many grants and the sum of their amounts."""

    count: int
    total: int


class StoredRecord(msgspec.Struct, frozen=True):
    """One record of the ledger: `leaf` is the exact bytes that are hashed."""

    sequence: int
    leaf: bytes
    record_hash: bytes


class Head(msgspec.Struct, frozen=True):
    """The end of the ledger: its size and the hash of its last record (32 zero bytes when empty)."""

    size: int
    record_hash: bytes


class Tree(msgspec.Struct, frozen=True):
    """The ledger as a tree: its size and the RFC 6962 root over all records (SHA-256 of nothing when empty)."""

    size: int
    root: bytes


class CheckpointRow(msgspec.Struct, frozen=True):
    """A signed checkpoint as stored: `note` is the C2SP signed note that says size and root."""

    size: int
    root: bytes
    note: bytes


__all__ = [
    "ENDED_STATES",
    "CheckpointRow",
    "GrantRow",
    "Head",
    "RequestRow",
    "ReviewRow",
    "SpendRow",
    "StoredRecord",
    "Tree",
    "Usage",
]
