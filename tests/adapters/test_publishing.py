"""The publisher: signs what is durable, never two roots for one size, and tells what fails without failing anybody."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from demur.adapters import publishing, rollback
from demur.adapters.clock import ManualClock
from demur.adapters.memory import MemoryStore
from demur.adapters.publishing import Publisher, ensure_keys
from demur.adapters.signing import GivenKeys, KeyFiles, LocalSigner, MemoryKeys, verify
from demur.adapters.sqlite import SqliteStore
from demur.core.ledger import chain, checkpoint, merkle, note, rotation
from demur.core.record import Draft, Sealed
from demur.core.terms import parse_timestamp
from demur.errors import ConfigurationError, LedgerError, RollbackError
from demur.ports import Store

ORIGIN = "demur.local/shop"
START = parse_timestamp("2026-11-20T09:00:00Z")
SEALED = Sealed("0" * 32, b"", b"", b"", "0" * 64, "0" * 64)
LONG = 3600.0
"""So long that the thread never publishes by itself within a test."""


class Telling:
    def __init__(self) -> None:
        self.told: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None:
        self.told.append((kind, data))

    @property
    def kinds(self) -> list[str]:
        return [kind.rpartition(".")[2] for kind, _ in self.told]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = (
        MemoryStore("shop", ManualClock(START))
        if request.param == "memory"
        else SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    )
    yield opened
    opened.close()


def append(store: Store, count: int = 1, *, kind: str = "heartbeat") -> None:
    for _ in range(count):
        store.submit(lambda tx: tx.append(Draft(kind, {"count": 1}))).result(5)


def root(store: Store, size: int) -> bytes:
    return merkle.root([record.record_hash for record in store.records(0, size)])


def publisher(store: Store, folder: Path | None = None, keys: Any = None, **more: Any) -> Publisher:
    secret = keys or MemoryKeys()
    ensure_keys(store, secret, ORIGIN)
    return Publisher(store, secret, folder=folder, **{"interval_seconds": LONG, **more})


def windows(store: Store) -> tuple[rotation.Window, ...]:
    return store.read(rollback.windows_in)


def opened(store: Store, text: str) -> checkpoint.Opened:
    keys = [window.key for window in windows(store)]
    return checkpoint.check(note.parse(text.encode()), log_keys=keys, verify=verify)


def test_a_checkpoint_says_size_and_root_of_the_ledger(store: Store, tmp_path: Path) -> None:
    append(store, 3)
    signing = publisher(store, tmp_path)
    assert signing.newest == ""
    assert signing.publish()
    found = opened(store, signing.newest).checkpoint
    assert (found.origin, found.size, found.root) == (ORIGIN, 3, root(store, 3))
    assert (tmp_path / "checkpoint").read_text() == signing.newest
    row = store.read(lambda tx: tx.find_checkpoint())
    assert row is not None
    assert row.note.decode() == signing.newest
    signing.close()


def test_what_is_signed_already_is_not_signed_again(store: Store) -> None:
    append(store)
    signing = publisher(store)
    assert [signing.publish(), signing.publish()] == [True, False]
    append(store)
    assert signing.publish()
    signing.close()


def test_an_empty_ledger_is_not_signed(store: Store) -> None:
    signing = publisher(store)
    assert not signing.publish()
    signing.close()
    assert signing.newest == ""


def test_closing_signs_what_is_left(store: Store) -> None:
    signing = publisher(store)
    append(store, 2)
    signing.close()
    assert opened(store, signing.newest).checkpoint.size == 2


def test_a_nudge_is_enough(store: Store) -> None:
    news = Telling()
    published: list[str] = []
    signing = publisher(store, interval_seconds=0.01, tell=news)

    done = threading.Event()
    signing.follow(done.set, tuple, lambda: published.append("closed"))
    append(store)
    signing.nudge()
    assert done.wait(10)
    assert news.kinds == ["checkpoint"]
    signing.close()
    assert published == ["closed"]


def test_the_state_tells_what_is_not_signed(store: Store) -> None:
    append(store, 2)
    signing = publisher(store)
    assert (signing.state().unsigned, signing.state().checkpoint_age_seconds) == (2, None)
    signing.publish()
    append(store)
    state = signing.state()
    assert (state.size, state.checkpoint_size, state.unsigned, state.unanchored) == (3, 2, 1, 3)
    assert state.checkpoint_age_seconds is not None
    signing.close()


class Faulty(LocalSigner):
    """A signer that does what a test wants instead of signing."""

    act: Callable[[bytes], bytes] | None = None

    def sign(self, message: bytes) -> bytes:
        return super().sign(message) if self.act is None else self.act(message)


def boom(_message: bytes) -> bytes:
    raise RuntimeError("the service is away")


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (boom, "the signer failed: the service is away"),
        (lambda _message: b"", "expected a signature of 64 bytes"),
        (lambda _message: bytes(64), "is not one over this text"),
        (lambda message: LocalSigner(ORIGIN, bytes(32)).sign(message), "is not one over this text"),
    ],
)
def test_a_signer_that_fails_publishes_nothing_and_is_told_once(
    store: Store, tmp_path: Path, act: Callable[[bytes], bytes], error: str
) -> None:
    signer, news = Faulty(ORIGIN, bytes(range(32))), Telling()
    signing = publisher(store, tmp_path / "published", GivenKeys([signer]), tell=news)
    (tmp_path / "published").mkdir()
    append(store)
    signer.act = act
    assert [signing.publish(), signing.publish()] == [False, False]
    assert error in signing.state().signing_error
    assert (signing.newest, news.kinds) == ("", ["signing_failed"])
    assert not list((tmp_path / "published").iterdir())
    signer.act = None
    assert signing.publish()
    assert (signing.state().signing_error, news.kinds) == ("", ["signing_failed", "checkpoint"])
    signing.close()


def test_a_signer_that_hangs_publishes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(publishing, "SIGNER_SECONDS", 0.05)
    free = threading.Event()
    signer = Faulty(ORIGIN, bytes(range(32)))
    signing = publisher(store, None, GivenKeys([signer]))
    append(store)
    signer.act = lambda _message: b"x" * (64 if free.wait(10) else 0)
    assert not signing.publish()
    assert "did not answer" in signing.state().signing_error
    free.set()
    signing.close()


def test_nothing_is_released_where_the_folder_cannot_be_written(store: Store, tmp_path: Path) -> None:
    append(store)
    signing = publisher(store, tmp_path / "absent")
    assert not signing.publish()
    assert signing.newest == ""
    assert store.read(lambda tx: tx.find_checkpoint()) is None
    (tmp_path / "absent").mkdir()
    assert signing.publish()
    signing.close()


def test_after_a_crash_between_signing_and_storing_the_same_is_signed_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    keys = KeyFiles(tmp_path)
    append(store, 2)
    first = publisher(store, tmp_path / "absent", keys)
    assert not first.publish()  # it was about to be signed, and that is durable
    first.close()
    store.close()
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    second = publisher(store, None, keys)
    assert second.publish()
    assert opened(store, second.newest).checkpoint.size == 2
    second.close()
    store.close()


def copied(home: Path) -> dict[str, bytes]:
    """The files of the database as they are now, to be put back later."""
    return {path.name: path.read_bytes() for path in home.glob("ledger.db*")}


def put_back(home: Path, files: dict[str, bytes]) -> None:
    for path in home.glob("ledger.db*"):
        path.unlink()
    for name, data in files.items():
        (home / name).write_bytes(data)


def test_a_database_put_back_is_never_signed_with_other_records(tmp_path: Path) -> None:

    keys, published = KeyFiles(tmp_path), tmp_path / "published"
    published.mkdir()
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    append(store, 2)
    publisher(store, published, keys).close()
    store.close()
    old = copied(tmp_path)
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    rollback.check(store, published)
    append(store, 3)
    publisher(store, published, keys).close()
    store.close()
    put_back(tmp_path, old)
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    with pytest.raises(RollbackError, match=r"expected at least the 5 records .*, found 2"):
        rollback.check(store, published)
    append(store, 4, kind="canary")  # as if somebody had gone around the guard
    with pytest.raises(RollbackError, match="expected the first 5 records"):
        rollback.check(store, published)
    store.close()


@pytest.mark.parametrize(
    ("break_it", "error"),
    [
        (lambda path: path.unlink(), "found none although some were signed"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9] + b"AAAAAAA=\n"), "is not one of this log's"),
        (lambda path: path.write_text(path.read_text().replace("local/shop\n", "local/shed\n", 1)), "found one of"),
    ],
)
def test_a_published_checkpoint_that_is_gone_or_altered_is_an_alarm(
    tmp_path: Path, break_it: Callable[[Path], object], error: str
) -> None:
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    append(store, 2)
    publisher(store, tmp_path, KeyFiles(tmp_path)).close()
    rollback.check(store, tmp_path)
    break_it(tmp_path / "checkpoint")
    with pytest.raises(RollbackError, match=error):
        rollback.check(store, tmp_path)
    store.close()


def test_a_key_that_is_lost_stops_the_opening(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    ensure_keys(store, KeyFiles(tmp_path), ORIGIN)
    (tmp_path / "checkpoint.key").unlink()
    with pytest.raises(ConfigurationError, match="expected the secret half of the key"):
        ensure_keys(store, KeyFiles(tmp_path), ORIGIN)
    store.close()


def events(store: Store) -> list[tuple[rotation.KeyEvent, bytes]]:
    leaves = [chain.read_leaf(record.leaf) for record in store.records()]
    return [rotation.read(leaf) for leaf in leaves if leaf["type"] == "key_event"]


def test_a_rotation_is_recorded_and_both_keys_sign_until_the_old_one_ends(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    keys = KeyFiles(tmp_path)
    append(store, 2)
    signing = publisher(store, None, keys)
    text = signing.rotate("0" * 32, SEALED, overlap=3)
    old, new = (window.key for window in windows(store))
    assert text == new.text
    assert signing.publish()
    assert [item.key for item in opened(store, signing.newest).signed] == [old, new]
    ((event, signature),) = events(store)
    assert (event.kind, event.old, event.new, event.first_size, event.last_size) == ("handover", old, new, 3, 5)
    rotation.check(event, signature, verify)
    with pytest.raises(LedgerError, match="whose last handover has ended"):
        signing.rotate("0" * 32, SEALED, overlap=3)
    append(store, 3)
    assert signing.publish()
    assert [item.key for item in opened(store, signing.newest).signed] == [new]
    _, (event, signature) = events(store)
    assert (event.kind, event.signer) == ("retirement", new)
    rotation.check(event, signature, verify)
    assert keys.find(old) is None
    assert signing.publish()
    assert signing.rotate("0" * 32, SEALED, overlap=3) != text
    signing.close()
    store.close()


def test_a_handover_that_the_wrong_key_signed_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    signing = publisher(store, None, KeyFiles(tmp_path))
    signing.rotate("0" * 32, SEALED, overlap=3)
    ((event, _),) = events(store)
    forged = LocalSigner(ORIGIN, bytes(32)).sign(event.statement)
    with pytest.raises(LedgerError, match="is not signed by"):
        rotation.check(event, forged, verify)
    signing.close()
    store.close()


def test_a_new_epoch_has_another_origin_and_key_and_signs_no_size_twice(tmp_path: Path) -> None:

    keys, published = KeyFiles(tmp_path), tmp_path / "published"
    published.mkdir()
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    append(store, 2)
    publisher(store, published, keys).close()
    store.close()
    old = copied(tmp_path)
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    append(store, 3)
    publisher(store, published, keys).close()
    store.close()
    put_back(tmp_path, old)

    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    text = rollback.begin_epoch(store, keys, published, "0" * 32, SEALED)
    rollback.check(store, published)
    signing = publisher(store, published, keys)
    append(store, 2)
    assert signing.publish()
    found = opened(store, signing.newest)
    assert found.checkpoint.origin == "demur.local/shop/epoch-2"
    assert [item.key.text for item in found.signed] == [text]
    leaf = chain.read_leaf(next(store.records(2, 3)).leaf)
    assert (leaf["type"], leaf["found_size"], leaf["expected_size"]) == ("rollback_accepted", 2, 5)
    assert [window.is_retired for window in windows(store)] == [True, False]
    rollback.check(store, published)
    signing.close()
    store.close()

    put_back(tmp_path, old)
    store = SqliteStore(tmp_path / "ledger.db", "shop", ManualClock(START))
    with pytest.raises(RollbackError):
        rollback.check(store, published)
    assert "epoch-3" in rollback.begin_epoch(store, keys, published, "0" * 32, SEALED)
    store.close()
