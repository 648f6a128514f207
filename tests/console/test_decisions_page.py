"""Decisions: looked for without naming anybody in an address, and one of them explained to its last condition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from demur.core.access import Role
from demur.core.intake import Caller
from demur.core.terms import Audience
from tests.console.desks import Browser, Desk, desk, text_of
from tests.console.requests import delete, pay

HOME = "/desk/decisions"


@pytest.fixture(scope="module")
def a_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def mara(a_desk: Desk) -> Browser:
    return a_desk.browser("mara", Role.REVIEWER)


def decided(a_desk: Desk, asked: dict[str, object]) -> int:
    """The number of the record of an agent's request."""
    answer = a_desk.gate().decide(asked, caller=Caller("agent:assistant"))
    document = answer.to_dict(audience=Audience.AUDITOR)
    return int(str(document["context"]["audit_id"]).rpartition("/")[2])  # type: ignore[index]  # as wire.md has it


def rows(page: object) -> list[int]:
    return [int(found) for found in re.findall(r'href="/desk/decisions/(\d+)"', page.text)]  # type: ignore[attr-defined]  # a response


def test_decisions_are_listed_the_newest_first(a_desk: Desk, mara: Browser) -> None:
    first, second = decided(a_desk, pay(10)), decided(a_desk, pay(20))
    assert rows(mara.get(HOME))[:2] == [second, first]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("outcome=allow", True),
        ("outcome=deny", False),
        ("action=pay_invoice", True),
        ("action=delete_record", False),
        ("rule=house/pay-small", True),
        ("rule=house/other", False),
        ("since=2026-01-01T00:00", True),
        ("until=2026-01-01T00:00", False),
        ("subject=0000000000", False),
    ],
)
def test_each_filter_narrows_what_is_found(a_desk: Desk, mara: Browser, query: str, is_found: object) -> None:
    sequence = decided(a_desk, pay(30))
    assert (sequence in rows(mara.get(f"{HOME}?{query}"))) is is_found


def test_a_subject_is_found_by_name_and_the_name_stands_in_no_address(a_desk: Desk, mara: Browser) -> None:
    hers, his = decided(a_desk, pay(40, subject="élodie")), decided(a_desk, pay(41, subject="bertil"))
    moved = mara.post(HOME, subject="user:élodie")

    assert moved.status_code == 303
    assert "lodie" not in moved.headers["location"]
    found = rows(mara.get(moved.headers["location"]))
    assert (hers in found, his in found) == (True, False)


def test_somebody_of_whom_nothing_is_known_is_not_found_and_leaves_no_key(a_desk: Desk, mara: Browser) -> None:
    moved = mara.post(HOME, subject="user:nobody-at-all")
    assert rows(mara.get(moved.headers["location"])) == []
    vault = a_desk.service.service.tenants.parts("clinic").world.vault
    assert vault.key_ids("user:nobody-at-all") == ()


def test_an_audit_id_leads_to_its_decision(mara: Browser) -> None:
    assert mara.post(HOME, audit_id="clinic/7").headers["location"] == f"{HOME}/7"
    assert mara.post(HOME, audit_id="7").headers["location"] == f"{HOME}/7"
    assert mara.post(HOME, audit_id="other/7").status_code == 400


@pytest.mark.parametrize(
    "query", ["outcome=perhaps", "category=bad", "since=yesterday", "subject=ann", "before=x", "until=2026-13-01T00:00"]
)
def test_what_is_no_filter_is_refused_in_words(mara: Browser, query: str) -> None:
    found = mara.get(f"{HOME}?{query}")
    assert found.status_code == 400
    assert "expected" in text_of(found).lower()


def test_pages_go_on_where_the_one_before_ended(a_desk: Desk, mara: Browser) -> None:
    made = [decided(a_desk, pay(50 + number)) for number in range(30)]
    first = mara.get(f"{HOME}?outcome=allow")
    onward = re.search(r'href="(/desk/decisions\?[^"]*before=\d+)"', first.text)

    assert onward is not None
    second = mara.get(onward[1].replace("&amp;", "&"))
    found = [*rows(first), *rows(second)]
    assert found == sorted(set(found), reverse=True)
    assert set(made) <= set(found)
    assert parse_qs(urlsplit(onward[1].replace("&amp;", "&")).query)["outcome"] == ["allow"]


def test_a_decision_tells_every_rule_and_condition_with_its_truth(a_desk: Desk, mara: Browser) -> None:
    told = text_of(mara.get(f"{HOME}/{decided(a_desk, pay(60))}"))
    assert "Allowed: pay_invoice" in told
    assert "house/pay-small permit decided holds" in told
    assert "holds: the amount is at most 500 EUR action.amount <= 500" in told
    assert "house/pay-large review does not hold" in told


def test_its_picture_says_the_same_in_words(a_desk: Desk, mara: Browser) -> None:
    page = mara.get(f"{HOME}/{decided(a_desk, pay(61))}").text
    assert page.count('role="img"') == 2
    assert "Asked: pay_invoice, resource: invoice, 2 arguments." in page
    assert "decided: pay-small" in page


@pytest.mark.parametrize("audience", Audience)
def test_a_refusal_is_told_as_each_audience_reads_it(a_desk: Desk, mara: Browser, audience: Audience) -> None:
    asked = delete("r-1") | {"action": {"name": "unknown_action", "properties": {}}}
    sequence = decided(a_desk, asked)
    refused = a_desk.service.service.tenants.parts("clinic")
    told = text_of(mara.get(f"{HOME}/{sequence}?audience={audience}"))

    assert "scope exceeded" in told
    assert ("determining_policies" in told) is (audience in {Audience.OPERATOR, Audience.AUDITOR})
    assert refused.world.log == "clinic"


def test_it_is_told_in_the_language_that_was_chosen(a_desk: Desk, mara: Browser) -> None:
    sequence = decided(a_desk, delete("r-2") | {"action": {"name": "unknown_action", "properties": {}}})
    page = mara.get(f"{HOME}/{sequence}?locale=ar").text
    assert 'lang="ar" dir="auto"' in page
    assert mara.get(f"{HOME}/{sequence}?locale=xx").status_code == 400


def test_personal_values_stand_nowhere_until_revealed_and_then_once(a_desk: Desk, mara: Browser) -> None:
    sequence = decided(a_desk, pay(62, account="DE77 GEHEIM", subject="björk-17"))
    url = f"{HOME}/{sequence}"

    assert [word for word in ("GEHEIM", "björk-17") if word in mara.get(url).text] == []
    shown = mara.post(f"{url}/reveal", path="action.account", reason="the bank called")
    assert "DE77 GEHEIM" in text_of(shown)
    assert "björk-17" not in shown.text
    assert "GEHEIM" not in mara.get(url).text
    leaf = a_desk.last_record()
    assert (leaf["type"], leaf["decision"], leaf["path"]) == ("value_revealed", sequence, "action.account")


@pytest.mark.parametrize(("path", "reason"), [("action.account", ""), ("action.none", "because"), ("", "because")])
def test_without_reason_or_value_nothing_is_revealed(a_desk: Desk, mara: Browser, path: str, reason: str) -> None:
    sequence = decided(a_desk, pay(63, account="DE77 GEHEIM"))
    found = mara.post(f"{HOME}/{sequence}/reveal", path=path, reason=reason)
    assert found.status_code == 409
    assert "GEHEIM" not in found.text
    assert a_desk.last_record()["type"] == "decision"


def test_a_role_that_may_not_read_decisions_reveals_none(a_desk: Desk) -> None:
    author = a_desk.browser("arno", Role.AUTHOR)
    sequence = decided(a_desk, pay(64, account="DE77 GEHEIM"))
    assert author.get(f"{HOME}/{sequence}").status_code == 403
    assert author.post(f"{HOME}/{sequence}/reveal", path="action.account", reason="curious").status_code == 403


@pytest.mark.parametrize("path", ["0", "999999", "x", "-1", "99999999999999999999", "%2e%2e"])
def test_what_is_no_decision_is_not_found(mara: Browser, path: str) -> None:
    assert mara.get(f"{HOME}/{path}").status_code == 404


def test_a_decision_about_an_erased_person_says_so_and_keeps_its_record(a_desk: Desk, mara: Browser) -> None:
    sequence = decided(a_desk, pay(65, subject="to-be-erased"))
    operator = a_desk.browser("otto", Role.OPERATOR)
    a_desk.gate().erase("user:to-be-erased", credential=operator.credential, reason="request 17")
    page = mara.get(f"{HOME}/{sequence}")

    assert page.status_code == 200
    assert "The values of this decision are gone" in text_of(page)
    assert "to-be-erased" not in page.text
    assert mara.post(f"{HOME}/{sequence}/reveal", path="subject.id", reason="x").status_code == 410


def test_nothing_that_a_caller_wrote_is_markup(a_desk: Desk, mara: Browser) -> None:
    hostile = '"><script>alert(1)</script>'
    asked = pay(66, memo=hostile, invoice=hostile)
    page = mara.get(f"{HOME}/{decided(a_desk, asked)}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
