"""The examples' programs, run as a reader would run them, and what the people at both ends get to see."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

import demur
from demur.core.terms import Timestamp, parse_timestamp
from demur.wiring import Settings, open_gate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUIET = parse_timestamp("2026-11-20T09:00:00Z")
"""A Friday morning on which no maintenance is announced."""


class StoppedClock:
    def now(self) -> Timestamp:
        return QUIET


def facts_of(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"facts_of_{name}", EXAMPLES / name / "facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name / "run.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def clinic() -> Iterator[demur.Gateway]:
    sources = {"records": facts_of("clinic").records}
    with open_gate(Settings(EXAMPLES / "clinic", sources=sources, clock=StoppedClock())).gate as gate:
        yield gate


@pytest.fixture
def bank() -> Iterator[demur.Gateway]:
    sources = {"account": facts_of("recommendations").accounts}
    with open_gate(Settings(EXAMPLES / "recommendations", sources=sources, clock=StoppedClock())).gate as gate:
        yield gate


def requests(name: str) -> list[bytes]:
    return (EXAMPLES / name / "requests.ndjson").read_bytes().splitlines()


def summary(answer: demur.Grant | demur.Refusal | demur.Deferral) -> str:
    match answer:
        case demur.Grant():
            return "allow"
        case demur.Refusal():
            return f"deny {answer.reason.category} {answer.reason.policy_reference}"
        case demur.Deferral():
            return f"defer {answer.refusal.reason.policy_reference}"


def test_the_requests_of_the_ward_get_these_answers(clinic: demur.Gateway) -> None:
    assert [summary(clinic.decide(line)) for line in requests("clinic")] == [
        "allow",
        "deny insufficient_context clinic/consent-on-file",
        "deny insufficient_context clinic/consent-on-file",
        "deny categorical clinic/never-delete-in-bulk",
        "deny scope_exceeded clinic/administrators-only",
        "deny state_conflict clinic/record-under-review",
        "allow",
        "defer clinic/high-dose-needs-pharmacist",
    ]


def test_consent_that_is_absent_and_consent_that_is_unknown_are_told_apart(clinic: demur.Gateway) -> None:
    _, absent, unknown, *_ = [clinic.decide(line) for line in requests("clinic")]
    assert isinstance(absent, demur.Refusal)
    assert isinstance(unknown, demur.Refusal)

    assert absent.explain(audience=demur.Audience.END_USER).startswith("There is no consent form on file")
    assert "consent" not in unknown.explain(audience=demur.Audience.END_USER)
    assert [item.state for item in absent.missing_conditions] == ["holds"]
    assert {item.state for item in unknown.missing_conditions} == {"unknown"}


def granted(gate: demur.Gateway, line: bytes) -> str:
    answer = gate.decide(line)
    if isinstance(answer, demur.Grant):
        gate.redeem(answer.token, answer.arguments)
    return summary(answer)


def test_the_requests_of_the_adviser_get_these_answers(bank: demur.Gateway) -> None:
    assert [granted(bank, line) for line in requests("recommendations")] == [
        "allow",
        "deny policy_violation recommendations/single_transfer_limit",
        "deny quota_exceeded recommendations/daily_transfer_limit",
        "allow",
        "deny state_conflict recommendations/frozen_account",
        "deny state_conflict recommendations/account_under_regulatory_review",
        "deny policy_violation recommendations/restricted_asset",
        "allow",
        "deny policy_violation recommendations/no_code_generation_for_basic_users",
        "allow",
        "allow",
        "defer recommendations/refund_requests_need_review",
    ]


def test_the_hundred_and_first_action_of_a_day_is_refused(bank: demur.Gateway) -> None:
    line = msgspec.json.encode(
        {
            "subject": {"type": "user", "id": "mara"},
            "action": {"name": "explain"},
            "resource": {"type": "product", "id": "p"},
        }
    )
    answers = [granted(bank, line) for _ in range(101)]

    assert answers[:100] == ["allow"] * 100
    assert answers[100] == "deny quota_exceeded recommendations/rate_limit_protect"


def seen(answer: object, audience: demur.Audience, locale: str) -> dict[str, object]:
    """What an audience gets, without what names this one request."""
    assert isinstance(answer, demur.Refusal)
    context = answer.to_dict(audience=audience, locale=locale)["context"]
    assert isinstance(context, dict)
    for name in ("audit_id", "as_of"):
        del context[name]
    del context["refusal"]["refused_action"]
    return context


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("audience", [demur.Audience.END_USER, demur.Audience.AGENT])
def test_nobody_below_operator_can_tell_a_regulatory_review_from_a_frozen_account(
    bank: demur.Gateway, audience: demur.Audience, locale: str
) -> None:
    transfer = {"name": "transfer", "properties": {"amount": 100, "payee": "Ana"}}
    examined, frozen = (
        bank.decide(
            {
                "subject": {"type": "user", "id": holder},
                "action": transfer,
                "resource": {"type": "account", "id": f"acc-{holder}"},
            }
        )
        for holder in ("yuki", "jonas")
    )

    assert seen(examined, audience, locale) == seen(frozen, audience, locale)
    assert "regulatory" not in msgspec.json.encode(examined.to_dict(audience=audience, locale=locale)).decode()


def test_an_operator_learns_of_the_regulatory_review_and_what_to_do(bank: demur.Gateway) -> None:
    examined = bank.decide(requests("recommendations")[5])
    assert isinstance(examined, demur.Refusal)
    told = examined.to_dict(audience=demur.Audience.OPERATOR, locale="de")

    assert "aufsichtlicher Prüfung" in examined.explain(audience=demur.Audience.OPERATOR, locale="de")
    assert {"log", "notify"} == {duty.type for duty in examined.obligations}
    assert "regulatory" in msgspec.json.encode(told).decode()


@pytest.mark.slow
def test_the_ward_assistant_runs_and_keeps_its_ledger(tmp_path: Path) -> None:
    lines = run("clinic", str(tmp_path / "home"))

    assert "  allow: opened r-2207" in lines
    assert any(line.startswith("  deny (categorical): Deleting more than one patient record") for line in lines)
    assert any(line.startswith("  deny (scope_exceeded): This is reserved for administrators") for line in lines)
    assert (tmp_path / "home" / "ledger.db").exists()


@pytest.mark.slow
def test_the_ward_assistant_speaks_german(tmp_path: Path) -> None:
    lines = run("clinic", str(tmp_path / "home"), "de")

    assert any(
        line.startswith("  deny (scope_exceeded): Das ist Administratorinnen und Administratoren") for line in lines
    )


@pytest.mark.slow
def test_the_adviser_runs_and_the_obligations_reach_their_desks(tmp_path: Path) -> None:
    lines = run("recommendations", str(tmp_path / "home"))
    told = lines[lines.index("obligations carried out:") + 1 :]

    assert "  transfer acc-mara was carried out" in lines
    assert [line.split(": ", 1)[1] for line in told] == [
        "log {'level': 'high', 'retention': 'P10Y'}",
        "notify {'to': 'financial-crime'}",
    ]
