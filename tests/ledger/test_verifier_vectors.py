"""The verifier's own cryptography against vectors that nobody here wrote."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from demur.verifier import verify

if TYPE_CHECKING:
    from pathlib import Path


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def test_ed25519_judges_every_case_of_wycheproof_right(vectors: Path) -> None:
    groups = json.loads((vectors / "ed25519" / "wycheproof.json").read_text(encoding="utf-8"))["testGroups"]
    wrong: list[int] = []
    count = 0
    for group in groups:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            count += 1
            found = verify.is_signature(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            if found != (case["result"] == "valid"):
                wrong.append(case["tcId"])

    assert count == 151
    assert wrong == []


@pytest.mark.parametrize("point", ["ff" * 32, "ed" + "ff" * 30 + "7f", "01" + "00" * 30 + "80", "02" + "00" * 31])
def test_a_key_that_is_no_point_in_its_one_form_signs_nothing(point: str) -> None:
    """Beyond the field, equal to its order, zero with a sign, and off the curve."""
    assert not verify.is_signature(bytes.fromhex(point), b"", bytes(64))


def is_included(case: dict) -> bool:
    proof = [decoded(text) for text in case["proof"] or ()]
    try:
        verify.check_inclusion(
            case["leafIdx"], case["treeSize"], decoded(case["leafHash"]), proof, decoded(case["root"])
        )
    except verify.InvalidError:
        return False
    return True


def is_consistent(case: dict) -> bool:
    proof = [decoded(text) for text in case["proof"] or ()]
    try:
        verify.check_consistency(case["size1"], case["size2"], decoded(case["root1"]), decoded(case["root2"]), proof)
    except verify.InvalidError:
        return False
    return True


@pytest.mark.parametrize(("file", "check"), [("inclusion", is_included), ("consistency", is_consistent)])
def test_proofs_of_the_public_merkle_vectors_are_judged_right(vectors: Path, file: str, check: object) -> None:
    cases = json.loads((vectors / "merkle" / f"{file}.json").read_text(encoding="utf-8"))

    assert callable(check)
    assert len(cases) == 98
    assert [case["path"] for case in cases if check(case) == case["wantErr"]] == []
