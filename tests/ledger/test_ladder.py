"""The rungs of the verdict, each with its exit code and its words, as an auditor meets them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from demur.core.ledger import merkle
from demur.verifier import verify
from tests.ledger import attacks, exports
from tests.ledger.exports import LOG_KEY, POLICY, WITNESS, Export, Signer, checkpoint
from tests.ledger.test_hostile import proof, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECOND = Signer("witness.example/w2", 4)
THIRD = Signer("witness.example/w3", 4)


def written(export: Export, folder: Path) -> Path:
    return export.write(folder / "export")


def answer(*arguments: object) -> dict:
    code, output = told(*arguments, "--json")
    document = json.loads(output)
    assert document["exit_code"] == code
    return dict(document)


def test_anchored_tells_size_time_by_whom_and_what_is_beyond(tmp_path: Path, policy: Path) -> None:
    found = answer(written(exports.whole(exports.leaves(20), 17), tmp_path), "--policy", policy)

    assert (found["verdict"], found["exit_code"], found["beyond"]) == ("ANCHORED", 0, 3)
    assert found["anchor"] == {
        "size": 17,
        "by": [f"{LOG_KEY.name}+{LOG_KEY.key_id.hex()}"],
        "witnesses": [{"name": "W1", "time": "2026-11-18T11:06:40Z"}],
    }


def test_without_a_policy_nothing_is_anchored(tmp_path: Path) -> None:
    """A truncated tail is never called valid: the words say what is not shown."""
    found = answer(written(exports.whole(exports.leaves(20)), tmp_path))

    assert (found["verdict"], found["exit_code"]) == ("INTEGRITY_ONLY", 22)
    assert "nothing shows that no records were cut off at the end" in found["cause"]


def test_a_head_that_the_auditor_kept_anchors(tmp_path: Path) -> None:
    export = exports.whole(exports.leaves(20))
    folder = written(export, tmp_path)

    found = answer(folder, "--head", f"15:{export.hashes[14].hex()}")
    other = answer(folder, "--head", f"15:{export.hashes[13].hex()}")
    beyond = answer(folder, "--head", f"21:{export.hashes[14].hex()}")

    assert (found["verdict"], found["beyond"]) == ("ANCHORED", 5)
    assert (other["verdict"], beyond["verdict"]) == ("INVALID", "INVALID")


def test_reconciled_names_the_resources(tmp_path: Path, policy: Path) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.reconciled()(export)

    found = answer(written(export, tmp_path), "--policy", policy)

    assert (found["verdict"], found["exit_code"]) == ("RECONCILED", 20)
    assert found["resources"] == ["ledger/payments"]
    assert found["remarks"] == ["the first 500 records were compared with meters, 100 were not"]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"since": "2026-11-20T09:00:00Z"}, "ANCHORED"),
        ({"verdict": "unmetered"}, "ANCHORED"),
        ({"findings": {"critical": 0, "info": 0, "warning": 1}}, "ANCHORED"),
        ({"resources": "all"}, "INVALID"),
        ({"covers": {"size": 0, "head": "00" * 32}}, "INVALID"),
    ],
)
def test_no_other_comparison_reconciles(tmp_path: Path, policy: Path, change: dict, verdict: str) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.reconciled(**change)(export)

    assert answer(written(export, tmp_path), "--policy", policy)["verdict"] == verdict


@pytest.mark.parametrize(
    ("rung", "codes"),
    [("RECONCILED", (0, 22)), ("anchored", (0, 22)), ("INTEGRITY_ONLY", (0, 0)), ("INVALID", (0, 0))],
)
def test_at_least_asks_for_a_rung(tmp_path: Path, policy: Path, rung: str, codes: tuple[int, int]) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.reconciled()(export)
    folder = written(export, tmp_path)

    assert told(folder, "--policy", policy, "--at-least", rung)[0] == codes[0]
    assert told(folder, "--at-least", rung)[0] == codes[1]


def test_disclosed_fields_are_counted(tmp_path: Path, policy: Path) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.disclosure(export)

    found = answer(written(export, tmp_path), "--policy", policy)

    assert (found["verdict"], found["disclosed"]) == ("ANCHORED", 1)


def test_a_key_that_was_handed_over_to_is_trusted_from_then_on(tmp_path: Path, policy: Path) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.with_event(attacks.handed_over(LOG_KEY, last=500), attacks.MALLORY, WITNESS)(export)

    found = answer(written(export, tmp_path), "--policy", policy)

    assert found["verdict"] == "ANCHORED"
    assert found["anchor"]["by"] == [f"{attacks.MALLORY.name}+{attacks.MALLORY.key_id.hex()}"]


def test_while_two_keys_overlap_both_are_named(tmp_path: Path, policy: Path) -> None:
    export = exports.whole(exports.leaves(attacks.SIZE), attacks.SIGNED)
    attacks.with_event(attacks.handed_over(LOG_KEY, last=700), LOG_KEY, attacks.MALLORY, WITNESS)(export)

    assert len(answer(written(export, tmp_path), "--policy", policy)["anchor"]["by"]) == 2


GROUPS = f"witness a {WITNESS.vkey}\nwitness b {SECOND.vkey}\nwitness c {THIRD.vkey}\n"


@pytest.mark.parametrize(
    ("rule", "signers", "verdict"),
    [
        ("group g any a b\nquorum g", [WITNESS], "ANCHORED"),
        ("group g all a b\nquorum g", [WITNESS], "INTEGRITY_ONLY"),
        ("group g 2 a b c\nquorum g", [WITNESS, THIRD], "ANCHORED"),
        ("group g 2 a b c\nquorum g", [THIRD], "INTEGRITY_ONLY"),
        ("group g 1 a\ngroup h all g b\nquorum h", [WITNESS, SECOND], "ANCHORED"),
        ("group g 1 a\ngroup h all g b\nquorum h", [SECOND], "INTEGRITY_ONLY"),
        ("quorum none", [], "ANCHORED"),
        ("quorum c", [WITNESS, SECOND], "INTEGRITY_ONLY"),
    ],
)
def test_the_quorum_is_counted(tmp_path: Path, rule: str, signers: list[Signer], verdict: str) -> None:
    export = exports.whole(exports.leaves(9))
    export.files["checkpoint"] = checkpoint(export.hashes, 9, LOG_KEY, *signers).encode()
    policy = tmp_path / "policy"
    policy.write_text(
        f"# whom we trust\n\n\tlog {LOG_KEY.vkey} https://ledger.example\n{GROUPS}{rule}\n", encoding="utf-8"
    )

    assert answer(written(export, tmp_path), "--policy", policy)["verdict"] == verdict


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG_KEY.vkey}\n",
        f"log {LOG_KEY.vkey}\nlog {LOG_KEY.vkey}\nquorum none\n",
        f"log {WITNESS.vkey}\nquorum none\n",
        f"log {LOG_KEY.vkey[:-8]}AAAAAAA=\nquorum none\n",
        "quorum nobody\n",
        "quorum none\nquorum none\n",
        f"{GROUPS}group g 4 a b c\nquorum g\n",
        f"{GROUPS}group g 0 a b c\nquorum g\n",
        f"{GROUPS}group g any a a\nquorum g\n",
        f"{GROUPS}group a any b\nquorum a\n",
        f"{GROUPS}group g any later\nquorum g\n",
        f"{GROUPS}group none any a\nquorum none\n",
        "allow everything\nquorum none\n",
        "quorum none\x00\n",
        "# sizes from here\nquorum none\n",
        "# sizes from 0 to\nquorum none\n",
    ],
)
def test_a_policy_that_cannot_be_read_decides_nothing(tmp_path: Path, text: str) -> None:
    policy = tmp_path / "policy"
    policy.write_text(text, encoding="utf-8")

    found = answer(written(exports.whole(exports.leaves(3)), tmp_path), "--policy", policy)

    assert (found["verdict"], found["exit_code"]) == ("UNDECIDABLE", 24)


def test_a_witness_of_another_algorithm_never_counts(tmp_path: Path) -> None:
    """Such as ML-DSA-44, type 6: the policy can be read, its quorum cannot be met."""
    policy = tmp_path / "policy"
    key = base64.b64encode(b"\x06" + bytes(1312)).decode()
    policy.write_text(f"log {LOG_KEY.vkey}\nwitness w big+00000000+{key}\nquorum w\n", encoding="utf-8")

    assert (
        answer(written(exports.whole(exports.leaves(3)), tmp_path), "--policy", policy)["verdict"] == "INTEGRITY_ONLY"
    )


def with_proof(tmp_path: Path, change: Callable[[bytes], bytes], index: int = 3, leaf: int = 3) -> dict:
    export = exports.whole(exports.leaves(9))
    (tmp_path / "policy").write_text(POLICY, encoding="utf-8")
    (tmp_path / "proof").write_bytes(change(proof(export, index)))
    (tmp_path / "leaf").write_bytes(export.leaves[leaf])
    return answer("--proof", tmp_path / "proof", "--leaf", tmp_path / "leaf", "--policy", tmp_path / "policy")


def test_one_record_is_anchored_by_its_proof(tmp_path: Path) -> None:
    found = with_proof(tmp_path, lambda data: data.replace(b"@v1\n", b"@v1\nextra c29tZXRoaW5n\n"))

    assert (found["verdict"], found["remarks"]) == ("ANCHORED", ["record 3 is in the ledger of 9 records"])


@pytest.mark.parametrize(
    ("change", "leaf"),
    [
        (lambda data: data, 4),
        (lambda data: data.replace(b"index 3", b"index 2"), 3),
        (lambda data: data.replace(b"index 3", b"index 03"), 3),
        (lambda data: data.replace(b"@v1", b"@v2"), 3),
        (lambda data: data.replace(b"\n9\n", b"\n8\n"), 3),
        (lambda data: data[:200], 3),
        (lambda data: b"", 3),
    ],
)
def test_another_records_proof_proves_nothing(tmp_path: Path, change: Callable[[bytes], bytes], leaf: int) -> None:
    assert with_proof(tmp_path, change, leaf=leaf)["verdict"] == "INVALID"


def test_two_checkpoints_are_consistent_or_not(tmp_path: Path, policy: Path) -> None:
    hashes, others = exports.whole(exports.leaves(9)).hashes, exports.whole(exports.leaves(9, salt=1)).hashes
    lines = [base64.b64encode(each).decode() for each in merkle.prove_consistency(hashes, 5)]
    (tmp_path / "proof").write_text("\n".join(lines), encoding="utf-8")
    for name, of, size in (("old", hashes, 5), ("new", hashes, 9), ("fork", others, 9)):
        (tmp_path / name).write_text(checkpoint(of, size, LOG_KEY, WITNESS), encoding="utf-8")

    def judged(old: str, new: str) -> str:
        both = ("--checkpoint", tmp_path / old, "--checkpoint", tmp_path / new)
        return str(answer("--consistency", tmp_path / "proof", *both, "--policy", policy)["verdict"])

    assert (judged("old", "new"), judged("old", "fork"), judged("new", "old")) == ("ANCHORED", "INVALID", "INVALID")


def test_the_exit_codes_are_those_of_the_documentation() -> None:
    text = verify.__doc__ or ""

    assert all(f"{rung.name:<14} {rung.value:>2}" in text for rung in verify.Verdict)
