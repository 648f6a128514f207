"""Policies that somebody else put in force: followed, checked, and never guessed (S3.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from demur.adapters.memory import MemoryStore
from demur.adapters.policy_watch import (
    AGAIN_SECONDS,
    GRACE_SECONDS,
    Kept,
    PolicyWatch,
    check_in_child,
    decode_kept,
    read_kept,
)
from demur.core.cel.ir import Const
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.document import Condition
from demur.core.schema import Kind, Type
from demur.errors import LedgerError, StoreError
from demur.wiring import load_policies
from tests.flows.shop import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.ports import Transaction


class Pace:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    opened = MemoryStore()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "shop.yaml").write_text(POLICY)
    documents = load_policies(folder)
    return Kept(documents.digest, encode_compiled(documents))


def put(store: MemoryStore, kept: Kept, *, names: str = "") -> None:
    def work(tx: Transaction) -> None:
        tx.put_blob(kept.digest, kept.compiled)
        tx.put_meta("policy_version", (names or kept.digest).encode())

    store.submit(work).result()


def test_what_the_store_names_is_adopted_once(store: MemoryStore, kept: Kept) -> None:
    adopted: list[Kept] = []
    watch = PolicyWatch(store, lambda: adopted[-1].digest if adopted else "mine", adopted.append)
    watch.look()
    assert adopted == []  # nothing was ever in force there
    put(store, kept)
    watch.look()
    watch.look()
    assert adopted == [kept]
    assert read_kept(store) == kept


def test_who_cannot_follow_decides_by_his_own_for_a_while_and_then_by_none(store: MemoryStore, kept: Kept) -> None:
    pace, adopted = Pace(), list[Kept]()
    watch = PolicyWatch(store, lambda: adopted[-1].digest if adopted else "mine", adopted.append, pace=pace)
    put(store, kept, names="sha256:missing")
    with pytest.raises(LedgerError, match="in the store, found none"):
        watch.look()
    pace.now = GRACE_SECONDS
    watch.check()
    pace.now += 0.1
    with pytest.raises(StoreError, match="could not be followed: expected the policies `sha256:missing`"):
        watch.check()
    put(store, kept)
    watch.look()
    watch.check()
    assert adopted == [kept]


def test_a_watch_that_died_is_noticed(store: MemoryStore) -> None:
    pace = Pace()
    watch = PolicyWatch(store, lambda: "mine", lambda _: None, pace=pace)
    pace.now = GRACE_SECONDS + 1
    with pytest.raises(StoreError, match="nobody looked in time"):
        watch.check()
    watch.look()
    watch.check()


def test_a_store_that_cannot_be_read_is_no_consent(store: MemoryStore) -> None:
    pace = Pace()
    watch = PolicyWatch(store, lambda: "mine", lambda _: None, pace=pace)
    store.close()
    pace.now = GRACE_SECONDS + 1
    with pytest.raises(StoreError):
        watch.look()
    with pytest.raises(StoreError, match="could not be followed: expected an open store"):
        watch.check()


def test_what_could_not_be_loaded_is_tried_again_after_a_while(store: MemoryStore, kept: Kept) -> None:
    pace, tried = Pace(), list[str]()

    def adopt(found: Kept) -> None:
        tried.append(found.digest)
        raise StoreError("a source is missing")

    watch = PolicyWatch(store, lambda: "mine", adopt, pace=pace)
    put(store, kept)
    for _ in range(3):
        with pytest.raises(StoreError, match="a source is missing"):
            watch.look()
    assert len(tried) == 1
    pace.now = AGAIN_SECONDS
    with pytest.raises(StoreError, match="a source is missing"):
        watch.look()
    assert len(tried) == 2


def test_bytes_that_were_altered_are_refused(kept: Kept) -> None:
    """Conditions that never hold, under the texts and digests of those that do."""
    check_in_child(kept)
    documents = decode_compiled(kept.compiled)
    never = Const(value=False, type=Type(Kind.BOOL))
    rules = tuple(
        msgspec.structs.replace(
            rule,
            when=tuple(msgspec.structs.replace(c, node=never) if isinstance(c, Condition) else c for c in rule.when),
        )
        for rule in documents.rules
    )
    altered = encode_compiled(msgspec.structs.replace(documents, rules=rules))
    assert decode_kept(Kept(kept.digest, altered)).digest == kept.digest
    with pytest.raises(LedgerError, match="were altered: shop/"):
        check_in_child(Kept(kept.digest, altered))


@pytest.mark.parametrize(
    ("digest", "raw", "told"),
    [("", b"", "cannot be read"), ("", b"\x00" * 40, "cannot be read"), ("sha256:00", None, "are others")],
    ids=["nothing", "noise", "another digest"],
)
def test_other_bytes_are_refused(kept: Kept, digest: str, raw: bytes | None, told: str) -> None:
    strange = Kept(digest or kept.digest, kept.compiled if raw is None else raw)
    with pytest.raises(LedgerError, match=told):
        decode_kept(strange)
    with pytest.raises(LedgerError, match=told):
        check_in_child(strange)
