"""From a gate's home to a folder that both verifiers accept, and that holds just what it says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet
import pytest
import rfc8785

import demur
from demur import wiring
from demur.adapters import sqlite
from demur.core.ledger import chain, merkle, note
from demur.core.terms import parse_timestamp
from demur.errors import ConfigurationError, LedgerError, StoreError
from demur.evaluation import export as exporting
from demur.evaluation import folders, parquet
from demur.evaluation.export import Choice
from demur.verifier import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.wiring import Reader
    from tests.ledger.go_verifier import GoVerifier

POLICY = """
demur: 1
namespace: desk
actions:
  read: {}
rules:
  - id: everybody-reads
    effect: permit
    actions: [read]
"""
ASKED = 620


def ask(gate: demur.Gateway, count: int, first: int = 0) -> None:
    """So many decisions at once, so that they are made durable in groups."""
    request = {"subject": {"type": "user", "id": "ada"}, "resource": {"type": "document", "id": "ä-1"}}
    futures = [
        gate.submit({**request, "action": {"name": "read" if number % 3 else "write"}})
        for number in range(first, first + count)
    ]
    for future in futures:
        future.result(30)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of more than two bundles, closed and signed."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "policies").mkdir()
    (folder / "policies" / "desk.yaml").write_text(POLICY, encoding="utf-8")
    with demur.open(folder / "policies", home=folder / "home") as gate:
        ask(gate, ASKED)
    return folder / "home"


@pytest.fixture
def reader(home: Path) -> Iterator[Reader]:
    opened = wiring.open_reader(home)
    yield opened
    opened.close()


@pytest.fixture
def trusted(home: Path, tmp_path: Path) -> Path:
    """The policy as the operator hands it to the auditor."""
    path = tmp_path / "trust-policy.txt"
    command = Path(sys.executable).with_name("demur")
    ended = subprocess.run([command, "ledger", "policy", "--home", home], capture_output=True, check=True)
    path.write_bytes(ended.stdout)
    return path


def judged(folder: Path, policy: Path) -> verify.Report:
    return verify.verify_export(str(folder), verify.read_policy(policy.read_bytes()))


@pytest.mark.slow
def test_a_whole_ledger_is_anchored_and_both_verifiers_agree(
    reader: Reader, trusted: Path, tmp_path: Path, independent: GoVerifier
) -> None:
    done = exporting.export(reader, tmp_path / "out")

    report = judged(tmp_path / "out", trusted)

    size = reader.head().size
    assert (report.verdict, report.beyond, report.records) == (verify.Verdict.ANCHORED, 0, size)
    assert (done.kind, done.first, done.last, done.size, done.records) == ("range", 0, size, size, size)
    assert done.counts == Counter(str(chain.read_leaf(record.leaf)["type"]) for record in reader.records())
    assert independent.verify(tmp_path / "out", trusted, size) == f"accept {size}"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 1), (0, 256), (0, 257), (1, 2), (255, 257), (256, 512), (300, 301), (511, 620), (7, 7)]
)
def test_a_part_of_a_ledger_is_provably_complete(
    reader: Reader, trusted: Path, tmp_path: Path, first: int, last: int
) -> None:
    exporting.export(reader, tmp_path / "out", first=first, last=last)

    report = judged(tmp_path / "out", trusted)

    assert (report.verdict, report.records) == (verify.Verdict.ANCHORED, last - first)


def test_a_part_holds_no_record_of_outside(reader: Reader, tmp_path: Path) -> None:
    exporting.export(reader, tmp_path / "out", first=300, last=302)

    held = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    records = list(reader.records())
    assert [record.sequence for record in records if record.leaf in held] == [300, 301]


@pytest.mark.parametrize("name", ["tile/0/001", "tile/1/000.p/2", "picked/001", "checkpoint", "tile/0/002.p/*"])
def test_nothing_of_a_part_can_be_left_out(reader: Reader, trusted: Path, tmp_path: Path, name: str) -> None:
    exporting.export(reader, tmp_path / "out", first=300, last=302)
    next((tmp_path / "out").glob(name)).unlink()

    try:
        verdict = judged(tmp_path / "out", trusted).verdict
    except verify.InvalidError:
        verdict = verify.Verdict.INVALID

    assert verdict is not verify.Verdict.ANCHORED


def test_chosen_records_are_in_the_ledger_and_never_complete(reader: Reader, trusted: Path, tmp_path: Path) -> None:
    done = exporting.export(reader, tmp_path / "out", choice=Choice(frozenset({"policy_activated"})))

    report = judged(tmp_path / "out", trusted)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())

    assert (done.kind, done.counts) == ("filter", {"policy_activated": 1})
    assert (report.verdict, report.exit_code) == (verify.Verdict.ANCHORED, verify.CHOSEN_ONLY)
    assert manifest["of"] == Counter(str(chain.read_leaf(record.leaf)["type"]) for record in reader.records())
    assert manifest["filter"] == {"types": ["policy_activated"]}


def test_records_are_chosen_by_time(reader: Reader, trusted: Path, tmp_path: Path) -> None:
    times = [parse_timestamp(str(chain.read_leaf(record.leaf)["timestamp"])) for record in reader.records()]
    since, until = times[100], times[500]
    expected = sum(since <= at < until for at in times)

    done = exporting.export(reader, tmp_path / "out", choice=Choice(since=since, until=until))

    assert done.records == expected
    assert judged(tmp_path / "out", trusted).exit_code == (verify.CHOSEN_ONLY if expected else 22)


def test_disclosed_fields_are_those_that_the_record_committed_to(reader: Reader, trusted: Path, tmp_path: Path) -> None:
    sealed = reader.find_sealed(5)
    assert sealed is not None
    names = sorted(set(reader.vault.unseal(sealed)) & {"answer", "request"})

    exporting.export(reader, tmp_path / "out", first=5, last=6, fields={5: names})

    found = json.loads((tmp_path / "out" / "disclosures" / "5.json").read_bytes())
    assert [item["name"] for item in found["fields"]] == names
    assert judged(tmp_path / "out", trusted).disclosed == 1


@pytest.mark.parametrize("fields", [{5: ["nothing"]}, {9_999: ["request"]}])
def test_what_cannot_be_disclosed_is_an_error_and_leaves_nothing(
    reader: Reader, tmp_path: Path, fields: dict[int, list[str]]
) -> None:
    with pytest.raises((LedgerError, ConfigurationError)):
        exporting.export(reader, tmp_path / "out", fields=fields)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (6, 5), (0, 100_000), (100_000, None)])
def test_a_range_outside_of_the_ledger_is_refused(reader: Reader, tmp_path: Path, first: int, last: int | None) -> None:
    with pytest.raises(ConfigurationError, match="expected a range within"):
        exporting.export(reader, tmp_path / "out", first=first, last=last)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_nothing_is_overwritten(reader: Reader, tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "out")

    with pytest.raises(ConfigurationError, match="expected a name that is free"):
        exporting.export(reader, tmp_path / "out")


def test_a_disk_that_is_full_leaves_nothing(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def write(draft: folders.Draft, name: str, data: bytes) -> None:
        nonlocal written
        written += 1
        if written == 4:
            raise OSError(28, os.strerror(28))
        (draft.path / Path(name).name).write_bytes(data)

    monkeypatch.setattr(folders.Draft, "write", write)

    with pytest.raises(StoreError, match="No space left on device"):
        exporting.export(reader, tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_can_read_an_export(reader: Reader, tmp_path: Path) -> None:
    """It may disclose what describes persons."""
    exporting.export(reader, tmp_path / "out", last=1)

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_the_root_can_be_computed_again_from_a_parquet_file(reader: Reader, tmp_path: Path) -> None:
    with parquet.writing(tmp_path / "records.parquet") as table:
        exporting.export(reader, tmp_path / "out", sink=table)

    columns = pyarrow.parquet.read_table(tmp_path / "records.parquet")
    leaves = columns.column("leaf").to_pylist()
    hashes = columns.column("leaf_hash").to_pylist()
    text = note.parse((tmp_path / "out" / "checkpoint").read_bytes()).text

    assert [merkle.leaf_hash(leaf) for leaf in leaves] == hashes
    assert base64.b64encode(merkle.root(hashes)).decode() == text.splitlines()[2]
    assert columns.column("index").to_pylist() == list(range(len(leaves)))
    assert columns.column("type").to_pylist() == [str(chain.read_leaf(leaf)["type"]) for leaf in leaves]
    assert str(columns.schema.field("timestamp").type) == "timestamp[ns, tz=UTC]"


def test_a_parquet_file_that_fails_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerError), parquet.writing(tmp_path / "records.parquet"):
        raise LedgerError("the ledger contradicts itself")

    assert list(tmp_path.iterdir()) == []


def test_every_leaf_of_a_gate_is_canonical_by_another_implementation(reader: Reader) -> None:
    leaves = [record.leaf for record in reader.records()]

    assert [leaf for leaf in leaves if rfc8785.dumps(chain.read_leaf(leaf)) != leaf] == []


@pytest.mark.slow
def test_an_export_works_while_a_gate_goes_on(home: Path, trusted: Path, tmp_path: Path) -> None:
    """What was signed meanwhile may be less than what was appended: the rest is counted as beyond."""
    policies = home.parent / "policies"
    with demur.open(policies, home=tmp_path / "home") as gate:
        ask(gate, 300)
        reader = wiring.open_reader(tmp_path / "home")
        ask(gate, 300, first=300)
        done = exporting.export(reader, tmp_path / "out")
        ask(gate, 50)
        reader.close()

    report = verify.verify_export(str(tmp_path / "out"), None)

    assert report.records == done.size >= 600


def test_a_ledger_that_lacks_a_record_is_not_exported(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_a_gap(self: object, first: int = 0, last: int | None = None) -> Iterator[object]:
        return (record for record in original(self, first, last) if record.sequence != 40)  # type: ignore[arg-type]  # bound by hand

    original = sqlite.SqliteReader.records
    monkeypatch.setattr(sqlite.SqliteReader, "records", with_a_gap)

    with pytest.raises(LedgerError, match="expected the records 0 to 255"):
        exporting.export(reader, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
