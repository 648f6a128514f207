"""Drops: a checkpoint is put once, never replaced, and another history under the same name is an alarm."""

from pathlib import Path

import pytest

from demur.adapters.drops import BucketShelf, Drop, FolderShelf, Shelf, open_drop
from demur.adapters.signing import LocalSigner, verifier_key
from demur.core.ledger import note
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.ledger.note import Note, Signature
from demur.errors import AnchorError, ConfigurationError, RollbackError

ORIGIN = "demur.local/shop"
SIGNER = LocalSigner(ORIGIN, bytes(range(32)))


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return FolderShelf(tmp_path)
    return BucketShelf("memory:///")


def signed(size: int, root: bytes = bytes(32)) -> tuple[Note, Checkpoint]:
    found = Checkpoint(ORIGIN, size, root)
    return Note(found.text, (note.sign(verifier_key(SIGNER), found.text, SIGNER.sign),)), found


def put(drop: Drop, size: int, root: bytes = bytes(32)) -> None:
    whole, found = signed(size, root)
    assert drop.hold(whole, found, lambda _old, _new: ()) == ()


def test_what_was_put_is_found_again_by_size(shelf: Shelf) -> None:
    drop = Drop(shelf)
    assert drop.newest(ORIGIN) is None
    for size in (9, 100, 20):
        put(drop, size)
    assert drop.newest(ORIGIN) == signed(100)[0]
    assert drop.newest("demur.local/other") is None


def test_the_same_checkpoint_may_come_again_with_more_signatures_and_stays_as_it_was(shelf: Shelf) -> None:
    drop = Drop(shelf)
    put(drop, 5)
    whole, found = signed(5)
    drop.hold(whole.add([Signature("witness", b"abcd", b"signature")]), found, lambda _old, _new: ())
    assert drop.newest(ORIGIN) == whole


def test_another_root_for_the_same_size_is_an_alarm_and_changes_nothing(shelf: Shelf) -> None:
    drop = Drop(shelf)
    put(drop, 5)
    with pytest.raises(RollbackError, match="expected our checkpoint of 5 records"):
        put(drop, 5, b"x" * 32)
    assert drop.newest(ORIGIN) == signed(5)[0]


def test_what_is_no_checkpoint_is_an_alarm(shelf: Shelf) -> None:
    shelf.add(f"demur.local%2Fshop/{5:020d}.checkpoint", b"something else")
    with pytest.raises(RollbackError, match="expected a checkpoint in the drop"):
        Drop(shelf).newest(ORIGIN)
    with pytest.raises(RollbackError, match="expected a checkpoint in the drop"):
        put(Drop(shelf), 5)


def test_other_names_in_the_folder_are_left_alone(shelf: Shelf) -> None:
    put(Drop(shelf), 5)
    shelf.add("demur.local%2Fshop/zzz.txt", b"a note to self")
    shelf.add("demur.local%2Fshop/9.checkpoint", b"not ours")
    assert Drop(shelf).newest(ORIGIN) == signed(5)[0]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    drop = open_drop(str(tmp_path / "unmounted"))
    with pytest.raises(AnchorError, match="cannot be written"):
        put(drop, 1)
    with pytest.raises(AnchorError, match="cannot be read"):
        drop.newest(ORIGIN)
    assert not (tmp_path / "unmounted").exists()


@pytest.mark.parametrize("place", ["nosuch://bucket", "s3://"])
def test_a_bucket_that_cannot_be_is_refused(place: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        open_drop(place)
