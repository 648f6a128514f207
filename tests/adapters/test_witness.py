"""Witnesses: what they cosign is kept, forks and rollbacks they see are alarms, and whatever else they do is harmless."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from demur.adapters.anchoring import Anchoring, check_anchors, proving
from demur.adapters.clock import ManualClock
from demur.adapters.drops import open_drop
from demur.adapters.memory import MemoryStore
from demur.adapters.publishing import Publisher, ensure_keys
from demur.adapters.rollback import windows_in
from demur.adapters.signing import GivenKeys, LocalSigner, verify
from demur.adapters.witness import Witness
from demur.core.ledger import chain, checkpoint, note
from demur.core.ledger.note import KeyType, VerifierKey
from demur.core.record import Draft
from demur.core.terms import parse_timestamp
from demur.errors import AnchorError, ConfigurationError, RollbackError
from tests.adapters.witness_server import NOW, WitnessServer

ORIGIN = "demur.local/shop"
LONG = 3600.0


class Log:
    """A signed ledger in memory."""

    def __init__(self, kind: str = "heartbeat") -> None:
        self.store = MemoryStore("shop", ManualClock(parse_timestamp("2026-11-20T09:00:00Z")))
        self.keys = GivenKeys([LocalSigner(ORIGIN, bytes(range(32)))])
        self.kind = kind
        ensure_keys(self.store, self.keys, ORIGIN)
        self.publisher = Publisher(self.store, self.keys, interval_seconds=LONG)

    @property
    def key(self) -> VerifierKey:
        return self.store.read(windows_in)[-1].key

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.store.submit(lambda tx: tx.append(Draft(self.kind, {"count": 1}))).result(5)
        assert self.publisher.publish()

    def offer(self, to: Witness) -> tuple[note.Signature, ...]:
        signed = self.publisher.signed
        assert signed is not None
        return to.hold(signed.note, signed.checkpoint, proving(self.store))

    def types(self) -> list[str]:
        return [str(chain.read_leaf(record.leaf)["type"]) for record in self.store.records()]

    def close(self) -> None:
        self.publisher.close()
        self.store.close()


@pytest.fixture
def log() -> Iterator[Log]:
    opened = Log()
    yield opened
    opened.close()


@pytest.fixture
def server(log: Log) -> Iterator[WitnessServer]:
    opened = WitnessServer()
    opened.log_keys = [log.key]
    yield opened
    opened.close()


@pytest.fixture
def witness(server: WitnessServer) -> Iterator[Witness]:
    opened = Witness(server.url, [server.key], now=lambda: NOW, timeout_seconds=1)
    yield opened
    opened.close()


def test_a_witness_cosigns_each_growing_checkpoint(log: Log, server: WitnessServer, witness: Witness) -> None:
    for count in (1, 2, 5, 300):
        log.grow(count)
        (signature,) = log.offer(witness)
        assert log.publisher.signed is not None
        found = note.check_one(log.publisher.signed.note.text, signature, server.key, verify)
        assert found.seconds == NOW
    assert server.latest[ORIGIN].size == 308
    assert server.requests == 4


def test_a_witness_that_knows_more_than_we_remember_tells_its_size(
    log: Log, server: WitnessServer, witness: Witness
) -> None:
    log.grow(3)
    log.offer(witness)
    log.grow(4)
    forgetful = Witness(server.url, [server.key], now=lambda: NOW)
    assert log.offer(forgetful)
    assert server.latest[ORIGIN].size == 7
    forgetful.close()


def test_the_same_checkpoint_may_be_cosigned_again(log: Log, witness: Witness) -> None:
    log.grow(3)
    assert log.offer(witness)
    assert log.offer(witness)


def test_a_rollback_is_seen_by_its_size(log: Log, witness: Witness, server: WitnessServer) -> None:
    log.grow(5)
    log.offer(witness)
    back = Log()
    back.grow(2)
    asking = Witness(server.url, [server.key], now=lambda: NOW)
    with pytest.raises(RollbackError, match="cosigned 5 records, and here are 2"):
        back.offer(asking)
    asking.close()
    back.close()


@pytest.mark.parametrize("count", [5, 7])
def test_a_fork_is_seen_by_its_root(log: Log, witness: Witness, server: WitnessServer, count: int) -> None:
    log.grow(5)
    log.offer(witness)
    fork = Log(kind="canary")
    fork.grow(count)
    asking = Witness(server.url, [server.key], now=lambda: NOW)
    with pytest.raises(RollbackError, match=f"cosigned other records than these {count}"):
        fork.offer(asking)
    assert server.latest[ORIGIN].size == 5
    asking.close()
    fork.close()


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("dies", "cannot be reached"),
        ("slow", "cannot be reached"),
        ("broken", "found status 500"),
        ("moved", "found status 302"),
        ("long", "expected at most 65536 bytes"),
        ("nonsense", "what is no cosignature"),
        ("wrong key", "expected a cosignature by the key of the witness"),
        ("forged", "what is no cosignature of this"),
        ("replay", "what is no cosignature of this"),
        ("future", "from the future"),
        ("other size", "from which it was just shown a proof"),
        ("bad size", "expected a size"),
    ],
)
def test_a_witness_that_fails_or_lies_gives_no_signature(
    log: Log, server: WitnessServer, witness: Witness, mood: str, error: str
) -> None:
    log.grow(2)
    log.offer(witness)
    log.grow(2)
    server.mood = mood
    with pytest.raises((AnchorError, RollbackError), match=error):
        log.offer(witness)
    server.mood = ""
    assert log.offer(witness)


def test_a_witness_that_does_not_know_us_says_how_to_register(
    log: Log, server: WitnessServer, witness: Witness
) -> None:
    log.grow(1)
    server.log_keys = []
    with pytest.raises(AnchorError, match=r"does not know the log `demur.local/shop`"):
        log.offer(witness)
    server.log_keys = [VerifierKey(ORIGIN, KeyType.ED25519, bytes(32))]
    with pytest.raises(AnchorError, match="does not know the key"):
        log.offer(witness)


def test_a_witness_that_is_not_there_cannot_be_reached(log: Log) -> None:
    log.grow(1)
    gone = WitnessServer()
    gone.close()
    asking = Witness(gone.url, [gone.key], now=lambda: NOW, timeout_seconds=1)
    with pytest.raises(AnchorError, match="cannot be reached"):
        log.offer(asking)
    asking.close()


@pytest.mark.parametrize(
    ("url", "kind", "error"),
    [
        ("witness.example", KeyType.COSIGNATURE, "expected a witness with the URL"),
        ("https://witness.example", KeyType.ED25519, "expected keys of type 4"),
    ],
)
def test_a_wrong_setting_is_refused(url: str, kind: KeyType, error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        Witness(url, [VerifierKey("witness.example/w", kind, bytes(32))], now=lambda: NOW)


class Telling:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def __call__(self, kind: str, _data: Mapping[str, Any]) -> None:
        self.kinds.append(kind.rpartition(".")[2])


def anchored(log: Log, *anchors: Any) -> tuple[Anchoring, Telling]:
    news = Telling()
    return Anchoring(log.store, log.publisher, anchors, tell=news, interval_seconds=LONG), news


def quiet(log: Log, *anchors: Any) -> tuple[Anchoring, Telling]:
    """Anchoring whose thread never anchors by itself."""
    following, news = anchored(log, *anchors)
    following._closing.set()
    following._nudged.set()
    following._thread.join()
    return following, news


def test_what_witnesses_cosign_is_kept_with_the_checkpoint_and_recorded(
    log: Log, server: WitnessServer, witness: Witness, tmp_path: Path
) -> None:
    following, news = quiet(log, witness, open_drop(str(tmp_path)))
    log.grow(3)
    following.anchor()
    whole = note.parse(log.publisher.newest.encode())
    opened = checkpoint.check(whole, log_keys=[log.key], witnesses=[server.key], verify=verify)
    assert [item.key for item in opened.signed] == [log.key, server.key]
    row = log.store.read(lambda tx: tx.find_checkpoint(3))
    assert row is not None
    assert row.note == whole.encode()
    (dropped,) = tmp_path.rglob("*.checkpoint")
    assert dropped.read_bytes() == whole.encode()
    assert log.types() == ["heartbeat"] * 3 + ["checkpoint_anchored"]
    assert (log.publisher.state().anchored_size, log.publisher.state().unanchored) == (3, 1)
    assert news.kinds == []


def test_an_idle_ledger_is_not_anchored_for_ever(log: Log, witness: Witness, server: WitnessServer) -> None:
    following, _ = quiet(log, witness)
    log.grow(3)
    following.anchor()
    assert log.publisher.publish()  # the record about anchoring
    following.anchor()
    assert server.requests == 1
    log.grow(1)
    following.anchor()
    assert server.requests == 2


def test_an_anchor_that_fails_delays_no_other_and_is_told_once(
    log: Log, server: WitnessServer, witness: Witness, tmp_path: Path
) -> None:
    following, news = quiet(log, witness, open_drop(str(tmp_path / "absent")), open_drop(str(tmp_path)))
    server.mood = "forged"
    log.grow(1)
    following.anchor()
    log.grow(1)
    following.anchor()
    states = log.publisher.state().anchors
    assert [bool(state.error) for state in states] == [True, True, False]
    assert states[2].size == log.publisher.state().anchored_size == 3
    assert news.kinds == ["anchor_failed", "anchor_failed"]


def test_a_contradiction_is_an_alarm_each_time(log: Log, server: WitnessServer, witness: Witness) -> None:
    fork = Log(kind="canary")
    fork.grow(4)
    fork.offer(witness)
    following, news = quiet(log, Witness(server.url, [server.key], now=lambda: NOW))
    log.grow(4)
    following.anchor()
    following.anchor()
    assert news.kinds == ["contradicted", "contradicted"]
    fork.close()


def test_an_anchor_that_hangs_is_left_behind(log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import demur.adapters.anchoring as module

    monkeypatch.setattr(module, "ANCHOR_SECONDS", 0.2)
    free = threading.Event()

    class Hanging:
        name = "hanging"

        def hold(self, *_: Any) -> tuple[()]:
            free.wait(10)
            return ()

        def close(self) -> None:
            free.set()

    following, news = quiet(log, Hanging(), open_drop(str(tmp_path)))
    log.grow(1)
    following.anchor()
    assert "did not answer in time" in log.publisher.state().anchors[0].error
    assert len(list(tmp_path.rglob("*.checkpoint"))) == 1
    assert news.kinds == ["anchor_failed"]
    free.set()


def test_a_publication_is_anchored_by_itself_and_the_last_one_is_dropped(tmp_path: Path) -> None:
    log, done = Log(), threading.Event()
    following, _ = anchored(log, open_drop(str(tmp_path)))
    log.grow(2)
    for _ in range(200):
        if following.states()[0].size:
            break
        done.wait(0.05)
    log.grow(1)
    log.publisher.close()
    sizes = sorted(int(path.stem) for path in tmp_path.rglob("*.checkpoint"))
    assert (sizes[0], sizes[-1]) == (2, log.publisher.state().size)
    assert log.types()[:3] == ["heartbeat", "heartbeat", "checkpoint_anchored"]
    log.store.close()


def test_the_guard_finds_what_witnesses_and_drops_know(log: Log, server: WitnessServer, tmp_path: Path) -> None:
    log.grow(5)
    asking = Witness(server.url, [server.key], now=lambda: NOW)
    drop = open_drop(str(tmp_path))
    for anchor in (asking, drop):
        log.offer(anchor)  # type: ignore[arg-type]  # both hold checkpoints
    assert check_anchors(log.store, [asking, drop], is_required=True) == ()
    back = Log()
    back.grow(2)
    other = Witness(server.url, [server.key], now=lambda: NOW)
    for anchor in (other, drop):
        with pytest.raises(RollbackError):
            check_anchors(back.store, [anchor], is_required=False)
    back.close()
    asking.close()
    other.close()


def test_silent_anchors_are_reported_or_keep_the_gate_shut(log: Log, tmp_path: Path) -> None:
    log.grow(1)
    absent = open_drop(str(tmp_path / "absent"))
    (error,) = check_anchors(log.store, [absent], is_required=False)
    assert "cannot be read" in error
    with pytest.raises(AnchorError, match="expected an anchor that tells"):
        check_anchors(log.store, [absent], is_required=True)


def test_a_missing_extra_is_named(log: Log, witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "httpx2", None)
    log.grow(1)
    with pytest.raises(ConfigurationError, match="expected HTTPX and stamina"):
        log.offer(witness)
