"""Standing approvals in the console: shown without naming anybody, granted, agreed to, used and ended by people."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demur.core.access import Role
from demur.core.intake import Caller
from tests.console.desks import Browser, Desk, desk, text_of
from tests.console.requests import pay

HOME = "/desk/standing"
WHY = "three months of such invoices were checked"


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened


@pytest.fixture
def mara(a_desk: Desk) -> Browser:
    return a_desk.browser("mara", Role.REVIEWER)


def scope(**changes: Any) -> str:
    plain = {
        "rule": "house/pay-large",
        "action": "pay_invoice",
        "resource_type": "invoice",
        "subject": "user:bertil-17",
        "uses": 3,
        "expires_at": "2099-01-01T00:00:00Z",
        "arguments": {
            "action.amount": {"at_least": 501, "at_most": 900},
            "action.account": {"one_of": ["DE02-GEHEIM"]},
            "action.memo": {"is_free": True, "may_be_absent": True},
        },
    }
    return json.dumps(plain | changes)


def soon(a_desk: Desk) -> str:
    return str(a_desk.service.service.clock.now().plus(86_400))


def outcome(a_desk: Desk, amount: int = 600) -> str:
    asked = pay(amount, subject="bertil-17", account="DE02-GEHEIM")
    return str(a_desk.gate().decide(asked, caller=Caller("agent:assistant")).outcome)


def test_what_was_granted_in_advance_is_used_counted_and_ended(a_desk: Desk, mara: Browser) -> None:
    assert outcome(a_desk) == "defer"
    made = mara.post(HOME, scope=scope(expires_at=soon(a_desk)), reason=WHY)
    assert made.headers["location"] == f"{HOME}?did=standing_granted"
    assert outcome(a_desk) == "allow"
    told = text_of(mara.get(HOME))
    assert "live pay_invoice house/pay-large" in told
    assert "action.amount at least 501 and at most 900" in told
    assert "action.memo anything, or left out" in told
    assert "1 of 3" in told

    (named,) = re.findall(r"/desk/standing/(\w+)/revoke", mara.get(HOME).text)
    assert mara.post(f"{HOME}/{named}/revoke", reason=WHY).status_code == 303
    assert outcome(a_desk) == "defer"


def test_nobody_is_named_in_the_list(a_desk: Desk, mara: Browser) -> None:
    mara.post(HOME, scope=scope(expires_at=soon(a_desk)), reason=WHY)
    for by in (mara, a_desk.browser("anna", Role.AUDITOR)):
        page = by.get(HOME).text
        assert "user:•••" in page
        assert [word for word in ("bertil-17", "GEHEIM") if word in page] == []


def test_whoever_is_to_agree_sees_whom_it_is_for(a_desk: Desk, mara: Browser) -> None:
    mara.post(HOME, scope=scope(rule="house/pay-very-large", expires_at=soon(a_desk)), reason=WHY)
    petra, anna = a_desk.browser("petra", Role.REVIEWER), a_desk.browser("anna", Role.AUDITOR)
    assert "bertil-17" in petra.get(HOME).text
    assert "bertil-17" not in anna.get(HOME).text

    (named,) = re.findall(r"/desk/standing/(\w+)/agree", petra.get(HOME).text)
    assert mara.post(f"{HOME}/{named}/agree", reason=WHY).status_code == 409
    assert petra.post(f"{HOME}/{named}/agree", reason=WHY).status_code == 303
    assert "live pay_invoice" in text_of(petra.get(HOME))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected"),
        ("{}", "rule"),
        (scope(uses=0), "uses"),
        (scope(rule="house/nothing"), "expected a rule that is in force"),
        (scope(more=1), "more"),
        (scope(), "expires_at"),
    ],
)
def test_what_is_unsound_is_not_granted_and_what_was_typed_stays(
    a_desk: Desk, mara: Browser, text: str, message: str
) -> None:
    found = mara.post(HOME, scope=text, reason=WHY)
    assert found.status_code == 409
    assert message in text_of(found).lower()
    assert "<textarea" in found.text
    assert a_desk.gate().standing() == ()


def test_it_is_not_granted_without_a_reason_or_the_role(a_desk: Desk, mara: Browser) -> None:
    assert mara.post(HOME, scope=scope(expires_at=soon(a_desk)), reason=" ").status_code == 409
    operator = a_desk.browser("otto", Role.OPERATOR)
    assert operator.post(HOME, scope=scope(), reason=WHY).status_code == 403
    teller = a_desk.browser("tess", Role.REVIEWER, panels=("teller",))
    assert teller.post(HOME, scope=scope(expires_at=soon(a_desk)), reason=WHY).status_code == 409


def test_it_is_proposed_from_what_people_approved(a_desk: Desk, mara: Browser) -> None:
    for number in range(4):
        done = a_desk.defer(pay(600 + 2 * number, subject="bertil-17", account="DE02-GEHEIM"))
        assert mara.post(f"/desk/reviews/{done}/rule", verdict="approve", reason="checked").status_code == 303
    waiting = a_desk.defer(pay(602, invoice="i-1004", subject="bertil-17", account="DE02-GEHEIM"))
    page = mara.get(f"{HOME}/new?review={waiting}")
    told = text_of(page)
    assert "Approved within 4 Denied within 0 This review lies within" in told
    assert '"rule": "house/pay-large"' in html.unescape(page.text)
    assert a_desk.gate().standing() == ()


def test_without_precedents_the_page_says_why_there_is_no_proposal(a_desk: Desk, mara: Browser) -> None:
    waiting = a_desk.defer(pay(700))
    page = mara.get(f"{HOME}/new?review={waiting}")
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert "<textarea" not in page.text


def test_an_empty_house_says_so(mara: Browser) -> None:
    assert "Nothing is approved in advance" in text_of(mara.get(HOME))
