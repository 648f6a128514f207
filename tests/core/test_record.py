"""The leaf: canonical bytes, and nothing personal in them (S5.4, S5.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from demur.core import record
from demur.core.record import Draft, Sealed
from demur.core.terms import MAX_INT, Timestamp, parse_timestamp
from demur.errors import LedgerError

TIME = parse_timestamp("2026-11-20T09:00:00Z")
SEALED = Sealed("k", b"", b"", b"", "ab" * 32, "cd" * 32)


def leaf(body: Any, *, kind: str = "decision", sealed: Sealed | None = None, log: str = "demo") -> bytes:
    return record.leaf(Draft(kind, body, sealed), log=log, sequence=41, previous_hash=bytes(32), timestamp=TIME)


names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name not in record.RESERVED)
tokens = st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True)
texts = st.one_of(
    tokens,
    st.lists(tokens, min_size=2, max_size=4).map("/".join),
    st.lists(tokens, min_size=2, max_size=4).map(":".join),
    st.binary(min_size=1, max_size=256).map(bytes.hex),
    st.integers(0, 10**19).map(lambda nanos: str(Timestamp(nanos))),
)
values = st.recursive(
    st.one_of(st.booleans(), st.integers(-MAX_INT, MAX_INT), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
bodies = st.dictionaries(names, values, max_size=8)


@given(body=bodies, sequence=st.integers(0, MAX_INT), nanos=st.integers(0, 10**19), is_sealed=st.booleans())
def test_a_leaf_is_what_rfc_8785_makes_of_its_members(body: Any, sequence: int, nanos: int, is_sealed: bool) -> None:
    draft = Draft("decision", body, SEALED if is_sealed else None)
    when = Timestamp(nanos)
    data = record.leaf(draft, log="demo", sequence=sequence, previous_hash=b"\xab" * 32, timestamp=when)
    members = {**body, "v": 1, "type": "decision", "log": "demo", "sequence": sequence}
    members |= {"previous_hash": "ab" * 32, "timestamp": str(when)}
    members |= {"commit_root": "ab" * 32, "action_commitment": "cd" * 32} if is_sealed else {}
    assert data == rfc8785.dumps(members)
    assert data.isascii()


def test_a_leaf_written_out() -> None:
    expected = (
        '{"action_commitment":"' + "cd" * 32 + '","commit_root":"' + "ab" * 32 + '","log":"demo","outcome":"deny",'
        '"previous_hash":"' + "00" * 32 + '","sequence":41,"timestamp":"2026-11-20T09:00:00Z","type":"decision","v":1}'
    )
    assert leaf({"outcome": "deny"}, sealed=SEALED) == expected.encode()


@pytest.mark.parametrize(
    "text",
    [
        "deny",
        "clinic/refund-limit",
        "demo/41",
        "sha256:" + "ab" * 32,
        "ab" * 256,
        "2026-11-20T09:00:00Z",
        "2026-11-20T09:00:00.123456789Z",
        "2025.2",
        "a:b/c",
    ],
)
def test_tokens_hex_and_times_may_stand_in_a_leaf(text: str) -> None:
    assert json.loads(leaf({"member": text}))["member"] == text
    assert record.is_leaf_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Jane Doe",
        "jane@example.org",
        "Jane",
        "a b",
        "x" * 65,
        "/a",
        "a/",
        "a//b",
        "a\n",
        "a\x00",
        "é",
        "Müller",
        "+49151",
        "患者",
        "\ud800",
        'a"b',
        "a\\b",
        "2026-11-20T09:00:00+01:00",
        "2026-11-20 09:00:00Z",
        "AB" * 32,
        "ab" * 257,
        "٣",
        "/".join("a" * 9),
    ],
)
def test_other_text_is_refused_and_not_repeated(text: str) -> None:
    for body in ({"member": text}, {"member": [text]}, {"member": {"inner": text}}):
        with pytest.raises(LedgerError, match=r"expected a token, hex or a time in `(member|inner)`") as caught:
            leaf(body)
        assert len(text) < 3 or text not in caught.value.diagnostics()
    assert not record.is_leaf_text(text)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "found null"),
        (1.0, "found a fraction"),
        (float("nan"), "found a fraction"),
        (MAX_INT + 1, "found one outside"),
        (-MAX_INT - 1, "found one outside"),
        (b"bytes", "found something else"),
        ({1, 2}, "found something else"),
    ],
)
def test_what_canonical_json_does_not_settle_is_refused(value: object, found: str) -> None:
    for body in ({"member": value}, {"member": [1, value]}):
        with pytest.raises(LedgerError, match=found):
            leaf(body)


@pytest.mark.parametrize("name", sorted(record.RESERVED))
def test_a_body_may_not_bring_the_members_of_every_leaf(name: str) -> None:
    with pytest.raises(LedgerError, match=f"found `{name}`"):
        leaf({name: "x"})


@pytest.mark.parametrize("name", ["", "Name", "na me", "é", "1st", "_x", "a-b", "a" * 65, 3])
def test_member_names_are_ascii_words(name: Any) -> None:
    with pytest.raises(LedgerError, match="expected a member name"):
        leaf({name: 1})
    with pytest.raises(LedgerError, match="expected a member name"):
        leaf({"outer": {name: 1}})


@pytest.mark.parametrize("kind", ["", "Decision", "de cision", "a" * 65])
def test_the_type_is_a_name(kind: str) -> None:
    with pytest.raises(LedgerError, match="expected the type of a record"):
        leaf({}, kind=kind)


@pytest.mark.parametrize("log", ["", "Demo", "../demo", ".demo", "a" * 65, "a/b"])
def test_the_log_is_a_token(log: str) -> None:
    with pytest.raises(LedgerError, match="expected a log id"):
        leaf({}, log=log)


def test_nesting_has_a_limit() -> None:
    deepest: Any = 1
    for _ in range(record.MAX_DEPTH - 1):
        deepest = [deepest]
    leaf({"member": deepest})
    with pytest.raises(LedgerError, match="expected at most 8 levels"):
        leaf({"member": [deepest]})


def test_a_leaf_has_at_most_16_kib() -> None:
    size = len(leaf({"member": []}))
    item = "a" * 61
    room = (record.MAX_LEAF_BYTES - size + 1) // 64
    assert len(leaf({"member": [item] * room})) <= record.MAX_LEAF_BYTES
    with pytest.raises(LedgerError, match="expected a leaf of at most 16384 bytes"):
        leaf({"member": [item] * (room + 1)})


@pytest.mark.parametrize("commitment", ["", "ab", "AB" * 32, "ab" * 33, "xy" * 32])
def test_commitments_are_hashes(commitment: str) -> None:
    for sealed in (
        Sealed("k", b"", b"", b"", commitment, "cd" * 32),
        Sealed("k", b"", b"", b"", "ab" * 32, commitment),
    ):
        with pytest.raises(LedgerError, match="expected a commitment"):
            leaf({}, sealed=sealed)


def test_the_draft_is_left_as_it_was() -> None:
    body: Any = {"outcome": "deny"}
    leaf(body)
    assert body == {"outcome": "deny"}
