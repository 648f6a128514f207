"""Overview, ledger, sessions, levers, people: what they show is what is, and what they do is what the routes do."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demur.core.access import Role
from demur.core.intake import Caller
from demur.verifier import verify as verifier
from tests.console.desks import Browser, Desk, desk, text_of
from tests.console.requests import delete, pay

WHY = "the bank called"


@pytest.fixture(scope="module")
def a_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def otto(a_desk: Desk) -> Browser:
    return a_desk.browser("otto", Role.OPERATOR)


@pytest.fixture(scope="module")
def anna(a_desk: Desk) -> Browser:
    return a_desk.browser("anna", Role.AUDITOR)


@pytest.fixture(scope="module")
def ada(a_desk: Desk) -> Browser:
    return a_desk.browser("ada", Role.ADMINISTRATOR)


def decide(a_desk: Desk, asked: dict[str, object]) -> str:
    return str(a_desk.gate().decide(asked, caller=Caller("agent:assistant")).outcome)


# Overview


def test_the_overview_counts_what_was_decided(tmp_path: Path) -> None:
    with desk(tmp_path) as fresh:
        mara = fresh.browser("mara", Role.REVIEWER)
        decide(fresh, pay(10))
        decide(fresh, pay(900))
        decide(fresh, delete("r-1") | {"action": {"name": "nothing", "properties": {}}})
        told = text_of(mara.get("/desk/overview"))

    assert "Decisions 3" in told
    assert "1 allowed, 1 deferred, 1 refused" in told
    assert "66.7 % of decisions" in told
    assert "Waiting for people 1" in told
    assert "deciding and recording" in told
    assert "scope exceeded 1" in told
    assert "1 under 15 min" in told
    assert "medium 1" in told


def test_an_empty_house_has_an_overview(tmp_path: Path) -> None:
    with desk(tmp_path) as fresh:
        told = text_of(fresh.browser("mara", Role.REVIEWER).get("/desk/overview"))
    assert "Nothing was refused" in told
    assert "no decision in this span" in told


def test_the_overview_says_that_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk(tmp_path) as fresh:
        mara = fresh.browser("mara", Role.REVIEWER)
        monkeypatch.setattr(type(fresh.gate()), "impediment", "the head is unknown")
        assert "The gate refuses everything" in text_of(mara.get("/desk/overview"))


@pytest.mark.parametrize("span", ["24h", "7d", "30d"])
def test_each_span_names_itself(anna: Browser, span: str) -> None:
    assert anna.get(f"/desk/overview?span={span}").status_code == 200


def test_a_span_that_there_is_not_is_refused(anna: Browser) -> None:
    assert anna.get("/desk/overview?span=1y").status_code == 400


# Ledger


def test_the_ledger_shows_its_checkpoint_and_who_signed_it(a_desk: Desk, anna: Browser) -> None:
    a_desk.service.service.tenants.parts("clinic").world.checkpoints.publish()  # type: ignore[attr-defined]  # the publisher
    page = anna.get("/desk/ledger")
    told = text_of(page)
    assert "Signed as demur.local/clinic" in told
    assert "no anchor is set up" in told
    assert a_desk.gate().ledger_state().checkpoint.splitlines()[2] in page.text


def test_verifying_says_what_was_found_whole(a_desk: Desk, anna: Browser) -> None:
    decide(a_desk, pay(11))
    told = text_of(anna.post("/desk/ledger/verify", first="0"))
    assert re.search(r"Records 0 to \d+ are whole\.", told)


def test_verifying_says_what_contradicts_itself(tmp_path: Path) -> None:
    with desk(tmp_path) as altered:
        anna = altered.browser("anna", Role.AUDITOR)
        decide(altered, pay(11))
        with closing(sqlite3.connect(tmp_path / "clinic" / "ledger.db")) as raw, raw:
            raw.execute("UPDATE records SET record_hash = zeroblob(32) WHERE sequence = 1")
        told = text_of(anna.post("/desk/ledger/verify", first="0"))
    assert "The ledger contradicts itself." in told
    assert "Record 1: the leaf was altered" in told


@pytest.mark.parametrize("first", ["x", "-1", "99999999999999999999", "1e3", "999999"])
def test_a_number_of_a_record_is_a_number(anna: Browser, first: str) -> None:
    assert anna.post("/desk/ledger/verify", first=first).status_code == 400


def test_a_proof_can_be_taken_away_and_holds(a_desk: Desk, anna: Browser) -> None:
    decide(a_desk, pay(12))
    parts = a_desk.service.service.tenants.parts("clinic")
    parts.world.checkpoints.publish()  # type: ignore[attr-defined]  # the publisher of this store
    found = anna.get("/desk/ledger/proof?sequence=1")
    (record,) = parts.world.store.records(1, 2)

    assert found.headers["content-disposition"] == 'attachment; filename="clinic-1.proof"'
    assert "record 1 is in the ledger" in verifier.verify_proof(found.content, record.leaf, None).remarks[0]
    with pytest.raises(verifier.InvalidError):
        verifier.verify_proof(found.content, record.leaf.replace(b"1", b"2"), None)


def test_a_reviewer_sees_the_checkpoint_but_no_records(a_desk: Desk) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    assert "Verify now" not in mara.get("/desk/ledger").text
    assert mara.post("/desk/ledger/verify", first="0").status_code == 403


# Sessions


def test_a_session_is_quarantined_and_lifted(a_desk: Desk, otto: Browser, anna: Browser) -> None:
    asked = pay(13, subject="sven") | {"session": "s-secret"}
    otto.post("/desk/sessions", caller="agent:assistant", subject="user:sven", session="s-secret", reason=WHY)
    assert decide(a_desk, asked) == "deny"
    page = anna.get("/desk/sessions")
    assert "agent:assistant" in page.text
    assert [word for word in ("sven", "s-secret") if word in page.text] == []
    assert "Lift quarantine" not in page.text

    (key,) = re.findall(r"/desk/sessions/([^/\"]+)/lift", otto.get("/desk/sessions").text)
    assert otto.post(f"/desk/sessions/{key}/lift", reason="").status_code == 409
    assert otto.post(f"/desk/sessions/{key}/lift", reason=WHY).status_code == 303
    assert decide(a_desk, asked) == "allow"


@pytest.mark.parametrize(("caller", "subject"), [("", "user:a"), ("agent:x", "a"), ("agent:x", ":"), ("agent:x", "")])
def test_a_quarantine_needs_to_know_whom(otto: Browser, caller: str, subject: str) -> None:
    found = otto.post("/desk/sessions", caller=caller, subject=subject, session="", reason=WHY)
    assert found.status_code == 400


# Levers


def test_a_stop_stops_and_its_release_lets_go(a_desk: Desk, otto: Browser) -> None:
    otto.post("/desk/levers/stops", actions="pay_*", actor="", reason=WHY)
    assert decide(a_desk, pay(14)) == "deny"
    page = otto.get("/desk/levers")
    assert "pay_*" in text_of(page)
    assert WHY in text_of(page)
    (stop,) = re.findall(r"/desk/levers/stops/(\w+)/release", page.text)
    assert otto.post(f"/desk/levers/stops/{stop}/release", reason=WHY).status_code == 303
    assert decide(a_desk, pay(14)) == "allow"


def test_everything_is_stopped_only_where_that_was_ticked(a_desk: Desk, otto: Browser) -> None:
    assert otto.post("/desk/levers/stops", actions="", actor="", reason=WHY).status_code == 400
    assert decide(a_desk, pay(15)) == "allow"
    assert otto.post("/desk/levers/stops", actions="", actor="", everything="yes", reason=WHY).status_code == 303
    assert decide(a_desk, pay(15)) == "deny"
    (stop,) = re.findall(r"/desk/levers/stops/(\w+)/release", otto.get("/desk/levers").text)
    otto.post(f"/desk/levers/stops/{stop}/release", reason=WHY)


def test_glass_is_broken_for_a_while_and_ended(a_desk: Desk, otto: Browser) -> None:
    done = otto.post("/desk/levers/glass", subject="user:eda", actions="pay_invoice", minutes="10", reason=WHY)
    assert done.headers["location"] == "/desk/levers?did=glass_opened"
    page = otto.get("/desk/levers")
    assert "eda" not in text_of(page).replace("Demur", "")
    (opening,) = re.findall(r"/desk/levers/glass/(\w+)/end", page.text)
    assert otto.post(f"/desk/levers/glass/{opening}/end", reason=WHY).status_code == 303
    assert "No glass is broken" in text_of(otto.get("/desk/levers"))


@pytest.mark.parametrize("minutes", ["0", "61", "-5", "x", "10000000"])
def test_glass_is_not_broken_for_any_time(a_desk: Desk, otto: Browser, minutes: str) -> None:
    found = otto.post("/desk/levers/glass", subject="user:eda", actions="pay_invoice", minutes=minutes, reason=WHY)
    assert found.status_code in {400, 409}
    assert a_desk.gate().levers().openings == ()


def test_a_grant_is_revoked(a_desk: Desk, otto: Browser) -> None:
    grant = a_desk.gate().decide(pay(16), caller=Caller("agent:assistant"))
    revoked = otto.post("/desk/levers/grants/revoke", grant=grant.id, reason=WHY)  # type: ignore[union-attr]  # an allow
    assert revoked.headers["location"] == "/desk/levers?did=revoked"
    assert otto.post("/desk/levers/grants/revoke", grant="unknown", reason=WHY).status_code == 409


def test_an_auditor_sees_levers_and_moves_none(anna: Browser) -> None:
    assert 'action="/desk/levers' not in anna.get("/desk/levers").text
    assert anna.post("/desk/levers/stops", actions="pay_*", actor="", reason=WHY).status_code == 403


# People and programs


def test_a_person_is_added_and_the_code_shown_once(a_desk: Desk, ada: Browser) -> None:
    made = ada.post("/desk/people", name="nils", roles=["reviewer", "auditor"], panels="manager, chief")
    (code,) = re.findall(r"demur-link-[\w-]+", made.text)

    assert made.headers["cache-control"] == "no-store"
    assert a_desk.service.people().awaits(code)
    listed = ada.get("/desk/people").text
    assert code not in listed
    assert "chief, manager" in text_of(ada.get("/desk/people"))
    assert a_desk.service.people().find("nils") is not None
    assert ada.post("/desk/people/nils/remove").status_code == 303
    assert a_desk.service.people().find("nils") is None


def test_a_program_gets_a_key_a_fresh_one_and_none(a_desk: Desk, ada: Browser) -> None:
    made = ada.post("/desk/programs", name="robot", roles=["caller"], subjects="user:*")
    (key,) = re.findall(r"demur-caller-[\w-]{30,}", made.text)
    fresh = ada.post("/desk/programs/robot/rotate", hours="1")
    (second,) = re.findall(r"demur-caller-[\w-]{30,}", fresh.text)

    assert key != second
    listed = ada.get("/desk/people").text
    assert [one for one in (key, second) if one in listed] == []
    assert ada.post("/desk/programs/robot/remove").status_code == 303
    assert a_desk.last_record()["type"] == "identity_removed"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/desk/people", {"name": "", "roles": "reviewer"}),
        ("/desk/people", {"name": "x y", "roles": "reviewer"}),
        ("/desk/people", {"name": "xaver", "roles": "king"}),
        ("/desk/people", {"name": "xaver"}),
        ("/desk/programs", {"name": "../x", "roles": "caller"}),
        ("/desk/programs/robot2/rotate", {"hours": "soon"}),
    ],
)
def test_what_is_not_well_formed_changes_nothing(a_desk: Desk, ada: Browser, path: str, fields: dict[str, str]) -> None:
    before = a_desk.last_record()["sequence"]
    assert ada.post(path, **fields).status_code == 400
    assert a_desk.last_record()["sequence"] == before


@pytest.mark.parametrize("path", ["/desk/people/nobody/remove", "/desk/programs/nobody/remove"])
def test_nobody_is_removed_who_is_not_there(ada: Browser, path: str) -> None:
    assert ada.post(path).status_code == 404


def test_settings_show_no_address_and_no_path(a_desk: Desk, ada: Browser) -> None:
    page = ada.get("/desk/people").text
    home = a_desk.service.service.settings.tenants["clinic"].home
    assert home not in page
    assert "postgresql" not in page


def test_every_page_of_an_empty_house_answers(tmp_path: Path) -> None:
    with desk(tmp_path) as fresh:
        everybody = fresh.browser("mara", *(set(Role) - {Role.CALLER}))
        paths = ["overview", "decisions", "policies", "playground", "ledger", "sessions", "levers", "people"]
        assert [everybody.get(f"/desk/{path}").status_code for path in paths] == [200] * len(paths)


def test_no_page_has_a_script_or_a_style_of_its_own(a_desk: Desk, ada: Browser, anna: Browser, otto: Browser) -> None:
    decide(a_desk, pay(17))
    told = [anna.get(f"/desk/{path}") for path in ("overview", "decisions", "decisions/1", "ledger")]
    told += [otto.get("/desk/sessions"), otto.get("/desk/levers"), ada.get("/desk/people")]
    for page in told:
        assert not re.search(r"\sstyle=|<style|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", page.text)
        assert "unsafe" not in page.headers["content-security-policy"]
