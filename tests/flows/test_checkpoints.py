"""A gate signs what it recorded, hands the newest checkpoint out, and does not open over a ledger that lost its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur import wiring
from demur.adapters.signing import LocalSigner, verify
from demur.core.ledger import chain, checkpoint, note, proof
from demur.errors import ConfigurationError, RollbackError, RulingError
from demur.wiring import Anchors, Settings

from .shop import Shop, open_shop, refund, said

if TYPE_CHECKING:
    from pathlib import Path


def signed(shop: Shop) -> None:
    """Sign now what is not signed yet."""
    assert shop.parts.world.checkpoints.publish()  # type: ignore[attr-defined]  # the adapter can be told to


def size_of(text: str) -> int:
    return checkpoint.parse(note.parse(text.encode()).text).size


def test_the_newest_checkpoint_leaves_with_every_answer(shop: Shop) -> None:
    assert shop.gate.decide(refund(100)).checkpoint == ""
    signed(shop)
    state = shop.gate.ledger_state()
    for answer in (
        shop.gate.decide(refund(100)),
        shop.gate.decide(refund(60_000)),
        shop.gate.decide(refund(100, role="guest")),
    ):
        assert answer.checkpoint == state.checkpoint
        assert answer.to_dict()["context"]["checkpoint"] == state.checkpoint
    assert size_of(state.checkpoint) == state.checkpoint_size


def test_a_repeated_request_gets_the_same_answer_with_a_newer_checkpoint(shop: Shop) -> None:
    first = shop.gate.decide(refund(100, request_id="r-1"))
    signed(shop)
    again = shop.gate.decide(refund(100, request_id="r-1"))
    assert said(again) == said(first)
    assert (first.checkpoint, size_of(again.checkpoint) > 0) == ("", True)


def test_an_unavailable_answer_brings_the_newest_checkpoint_too(shop: Shop) -> None:
    shop.gate.decide(refund(100))
    signed(shop)
    shop.parts.world.store.close()
    assert size_of(shop.gate.decide(refund(100)).checkpoint) > 0


def test_the_state_tells_how_many_records_nobody_outside_holds(shop: Shop) -> None:
    shop.gate.decide(refund(100))
    state = shop.gate.ledger_state()
    assert (state.checkpoint_size, state.unsigned, state.unanchored) == (0, state.size, state.size)
    signed(shop)
    assert shop.gate.ledger_state().unsigned == 0


def opened(folder: Path, **more: Any) -> demur.Gateway:
    return wiring.open_gate(
        Settings(folder / "policies", folder / "home", sources={"account": lambda _: {"account.frozen": False}}, **more)
    ).gate


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that was used and closed; the shop's operator is `olga`, whose credential lies beside."""
    shop = open_shop(tmp_path, home=tmp_path / "home")
    (tmp_path / "credential").write_text(shop.parts.book.add("olga", ["operator"]))
    shop.gate.decide(refund(100))
    shop.gate.close()
    return tmp_path / "home"


def credential(home: Path) -> str:
    return (home.parent / "credential").read_text()


def database(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("ledger.db*")}


def put_back(home: Path, files: dict[str, bytes]) -> None:
    for path in home.glob("ledger.db*"):
        path.unlink()
    for name, data in files.items():
        (home / name).write_bytes(data)


def rolled_back(home: Path, **more: Any) -> None:
    """The database is put back to an older state than the one that was signed."""
    old = database(home)
    with opened(home.parent, **more) as gate:
        for _ in range(3):
            gate.decide(refund(100))
    put_back(home, old)


def test_closing_signs_everything_and_a_stranger_can_check_a_record(home: Path) -> None:
    reader = wiring.open_reader(home)
    row = wiring.newest_checkpoint(reader)
    assert row.size == reader.head().size
    taken = proof.parse(wiring.signed_proof(reader, 1).encode())
    leaf = next(reader.records(1, 2)).leaf
    keys = [window.key for window in wiring.key_windows(reader)]
    assert proof.check(taken, leaf, log_keys=keys, verify=verify).checkpoint.root == row.root
    reader.close()


def test_a_database_put_back_to_an_older_state_is_not_opened(home: Path) -> None:
    rolled_back(home)
    with pytest.raises(RollbackError, match=r"expected at least the \d+ records that .* says were signed, found \d+"):
        opened(home.parent)
    reader = wiring.open_reader(home)
    assert reader.head().size == size_of(wiring.newest_checkpoint(reader).note.decode())
    reader.close()


def test_the_end_may_be_lost_only_by_an_operators_act_on_the_record(home: Path) -> None:
    rolled_back(home)
    with pytest.raises(RulingError):
        wiring.accept_rollback(home, credential="nobody", reason="the disk failed")
    key = wiring.accept_rollback(home, credential=credential(home), reason="the disk failed")
    assert key.startswith("demur.local/default/epoch-2+")
    with opened(home.parent) as gate:
        gate.decide(refund(100))
    reader = wiring.open_reader(home)
    types = [chain.read_leaf(record.leaf)["type"] for record in reader.records()]
    assert types.count("rollback_accepted") == 1
    newest = checkpoint.parse(note.parse(wiring.newest_checkpoint(reader).note).text)
    assert (newest.origin, newest.size) == ("demur.local/default/epoch-2", reader.head().size)
    reader.close()


def test_nothing_can_be_accepted_where_nothing_is_lost(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="found one that lacks nothing"):
        wiring.accept_rollback(home, credential=credential(home), reason="just in case")


def test_a_lost_key_stops_the_gate_until_a_new_epoch_begins(home: Path) -> None:
    (home / "checkpoint.key").unlink()
    with pytest.raises(ConfigurationError, match="expected the secret half"):
        opened(home.parent)
    assert "epoch-2" in wiring.accept_rollback(home, credential=credential(home), reason="the key is lost")
    opened(home.parent).close()


def test_a_drop_notices_a_rollback_even_where_the_published_file_was_put_back_too(home: Path, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    anchors = Anchors(drops=[str(tmp_path / "drop")])
    published = (home / "published" / "checkpoint").read_bytes()
    rolled_back(home, anchors=anchors)
    (home / "published" / "checkpoint").write_bytes(published)
    with pytest.raises(RollbackError, match="the drop"):
        opened(home.parent, anchors=anchors)


def test_a_key_is_rotated_by_an_operator_while_the_gate_runs(home: Path) -> None:
    with opened(home.parent) as gate:
        key = gate.rotate_key(overlap=5, credential=credential(home), reason="every year")
    reader = wiring.open_reader(home)
    old, new = wiring.key_windows(reader)
    whole = note.parse(wiring.newest_checkpoint(reader).note)
    found = checkpoint.check(whole, log_keys=[old.key, new.key], verify=verify)
    assert (new.key.text, [item.key for item in found.signed]) == (key, [old.key, new.key])
    reader.close()


def test_a_signer_from_outside_signs_instead_of_a_key_in_the_home(tmp_path: Path) -> None:
    open_shop(tmp_path).gate.close()
    signer = LocalSigner("example.org/gate", bytes(range(32)))
    opened(tmp_path, origin="example.org/gate", signers=[signer]).close()
    assert not (tmp_path / "home" / "checkpoint.key").exists()
    with pytest.raises(ConfigurationError, match="expected the secret half"):
        opened(tmp_path, origin="example.org/gate")
    with pytest.raises(ConfigurationError, match=r"expected the origin `example.org/gate`"):
        opened(tmp_path, origin="example.org/other", signers=[signer])


def test_an_operator_can_pull_levers_where_only_the_gate_reaches_the_signer(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    signer = LocalSigner("example.org/gate", bytes(range(32)))
    opened(tmp_path, origin="example.org/gate", signers=[signer]).close()
    secret = wiring.open_reviewers(tmp_path / "home").add("olga", ["operator"])
    with wiring.open_desk(tmp_path / "home").gate as desk:
        desk.kill(credential=secret, reason="stop everything")
    with opened(tmp_path, signers=[signer]) as gate:
        assert gate.decide(refund(100)).outcome == "deny"
        assert gate.ledger_state().checkpoint_size > 0
    shop.gate.close()


@pytest.mark.parametrize("origin", ["Example.org/gate", "a b", "a+b", "example.org/epoch-2", "..", "x" * 70])
def test_an_origin_that_records_cannot_tell_is_refused(tmp_path: Path, origin: str) -> None:
    open_shop(tmp_path).gate.close()
    with pytest.raises(ConfigurationError, match="expected"):
        opened(tmp_path, origin=origin)
