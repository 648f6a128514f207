"""Policies in the console: proposed by one, put in force by another, compared, tested, and tried in the playground."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demur.core.access import Role
from tests.console.desks import POLICIES, Browser, Desk, desk, text_of
from tests.console.requests import pay

HOME, PLAY = "/desk/policies", "/desk/playground"
TESTS = """demur-test: 1
policies: .
cases:
  - name: a small amount is paid
    request:
      subject: {type: user, id: ann}
      action: {name: pay_invoice, properties: {amount: 100, account: DE02}}
      resource: {type: invoice, id: i-1}
    expect: {outcome: OUTCOME}
"""


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened


@pytest.fixture
def author(a_desk: Desk) -> Browser:
    return a_desk.browser("arno", Role.AUTHOR)


@pytest.fixture
def approver(a_desk: Desk) -> Browser:
    return a_desk.browser("petra", Role.APPROVER, Role.AUTHOR)


def documents() -> dict[str, str]:
    found = [path for path in POLICIES.rglob("*.yaml") if path.is_file()]
    return {path.relative_to(POLICIES).as_posix(): path.read_text() for path in found}


def changed(limit: int = 400, **more: str) -> dict[str, list[str]]:
    """The fields of the form: the amount that is small is another one."""
    files = documents() | {name.replace("__", "."): text for name, text in more.items()}
    files["desk.yaml"] = (
        files["desk.yaml"].replace("at most 500 EUR", f"at most {limit} EUR").replace("<= 500", f"<= {limit}")
    )
    return {"name": [*files, ""], "text": [*files.values(), ""]}


def propose(by: Browser, limit: int = 400, **more: str) -> str:
    """The address of a fresh proposal."""
    found = by.post(f"{HOME}/draft", **changed(limit, **more))
    assert found.status_code == 303, text_of(found)
    return found.headers["location"].partition("?")[0]


def test_what_is_in_force_is_shown_with_its_rules(a_desk: Desk, author: Browser) -> None:
    digest = a_desk.gate().policy_version
    assert digest in author.get(HOME).text
    told = text_of(author.get(f"{HOME}/{digest}"))
    assert "house/pay-small permit effect: permit actions: pay_invoice when: - small: action.amount <= 500" in told


def test_a_proposal_waits_and_says_what_it_changes(a_desk: Desk, author: Browser) -> None:
    before, place = a_desk.gate().policy_version, propose(author)

    assert a_desk.gate().policy_version == before
    assert place.rpartition("/")[2][:23] in author.get(HOME).text
    told = text_of(author.get(place))
    assert "changed house/pay-small" in told
    assert "- - small: action.amount <= 500" in told
    assert "+ - small: action.amount <= 400" in told
    assert "house/pay-large" not in told.partition("Rules")[0]


def test_an_added_and_a_removed_rule_are_told_apart(author: Browser) -> None:
    fields = changed()
    place = fields["name"].index("desk.yaml")
    fields["text"][place] = re.sub(r"id: pay-small\b", "id: pay-tiny", fields["text"][place])
    found = author.post(f"{HOME}/draft", **fields)
    told = text_of(author.get(found.headers["location"]))
    assert "removed house/pay-small" in told
    assert "added house/pay-tiny" in told


def test_its_author_cannot_put_it_in_force_and_somebody_else_can(
    a_desk: Desk, author: Browser, approver: Browser
) -> None:
    own, others = propose(approver), propose(author, 300)
    refused = approver.post(f"{own}/activate")
    assert refused.status_code == 403
    assert "You wrote this" in text_of(approver.get(own))
    assert "Put in force</button>" not in approver.get(own).text

    assert author.post(f"{others}/activate").status_code == 403
    done = approver.post(f"{others}/activate")
    assert (done.status_code, a_desk.gate().policy_version) == (303, others.rpartition("/")[2])


def test_what_was_in_force_comes_back_by_rolling_back(a_desk: Desk, author: Browser, approver: Browser) -> None:
    before = a_desk.gate().policy_version
    approver.post(f"{propose(author)}/activate")
    assert a_desk.gate().policy_version != before
    assert approver.post(f"{HOME}/rollback").status_code == 303
    assert a_desk.gate().policy_version == before
    assert text_of(approver.get(HOME)).count("put in force sha256") == 3


def test_a_proposal_with_problems_names_each_place_and_keeps_what_was_typed(author: Browser) -> None:
    broken = "demur: 1\nnamespace: extra\nrules:\n  - id: x\n    effect: permitt\n    actions: [nothing]\n"
    found = author.post(f"{HOME}/draft", **changed(extra__yaml=broken))
    told = text_of(found)

    assert found.status_code == 422
    assert re.search(r"extra\.yaml:\d+:\d+ .*permit", told)
    assert "effect: permitt" in found.text
    assert "demur-draft" not in found.text
    assert "/tmp" not in found.text


@pytest.mark.parametrize("name", ["../up.yaml", "/etc/x.yaml", "x.txt", "UP.yaml", "a/b/c/d/e.yaml"])
def test_a_name_that_leads_elsewhere_is_refused(author: Browser, name: str) -> None:
    assert author.post(f"{HOME}/draft", name=[name], text=["demur: 1\n"]).status_code == 400


def test_a_name_twice_is_refused(author: Browser) -> None:
    found = author.post(f"{HOME}/draft", name=["a.yaml", "a.yaml"], text=["demur: 1\n", "demur: 1\n"])
    assert found.status_code == 400


@pytest.mark.parametrize(("outcome", "told"), [("allow", "all 1 passed"), ("deny", "outcome: expected `deny`, found")])
def test_the_tests_of_a_proposal_are_run(author: Browser, outcome: str, told: str) -> None:
    place = propose(author, pay__test__yaml=TESTS.replace("OUTCOME", outcome))
    assert told in text_of(author.post(f"{place}/tests"))


def test_tests_cannot_reach_policies_elsewhere(author: Browser) -> None:
    place = propose(author, pay__test__yaml=TESTS.replace("OUTCOME", "allow").replace("policies: .", "policies: ../.."))
    assert "expected policies of the same folder, found others" in text_of(author.post(f"{place}/tests"))


def test_without_tests_the_page_says_so(author: Browser) -> None:
    assert "expected at least one `*.test.yaml` file" in text_of(author.post(f"{propose(author)}/tests"))


@pytest.mark.parametrize("path", ["sha256:" + 64 * "0", "sha256:x", "latest", "..%2f.."])
def test_a_version_that_never_was_is_not_found(author: Browser, path: str) -> None:
    assert author.get(f"{HOME}/{path}").status_code == 404


def judge(by: Browser, request: object, **more: str) -> str:
    text = request if isinstance(request, str) else json.dumps(request)
    return text_of(by.post(PLAY, request=text, **more))


def test_a_request_is_judged_as_an_inquiry_and_shown_rule_by_rule(a_desk: Desk) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    told = judge(mara, pay(900))

    assert "Answer defer" in told
    assert "house/pay-large review decided holds" in told
    assert "End user" in told
    assert "Recorded as inquiry clinic/" in told
    leaf = a_desk.last_record()
    assert (leaf["type"], leaf["purpose"]) == ("inquiry", "playground")
    assert a_desk.gate().reviews() == ()


def test_an_allow_in_the_playground_gives_no_grant(a_desk: Desk) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    assert "A grant would be given" in judge(mara, pay(10))
    assert "token" not in json.dumps(a_desk.last_record())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected"),
        ("", "expected"),
        ("[]", "expected"),
        ('{"subject": {"type": "user"}}', "/subject/id"),
        ('{"subject": {"type": "user", "id": "a", "id": "b"}}', "one member of this name"),
        ('{"a": 1e999}', "finite number"),
    ],
)
def test_a_malformed_request_is_told_with_its_place(a_desk: Desk, text: str, message: str) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    found = mara.post(PLAY, request=text)
    assert found.status_code == 400
    assert message in text_of(found)
    assert a_desk.last_record()["type"] != "inquiry"


def test_what_sources_know_of_people_is_masked(a_desk: Desk) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    asked = pay(900, invoice="i-1001")
    page = mara.post(PLAY, request=json.dumps(asked)).text
    iban = re.search(r"iban: *\"?(\w+)", (POLICIES / "data" / "vendors.yaml").read_text())
    assert iban is not None
    assert iban[1] not in page


def test_an_author_asks_only_for_whom_they_may_speak(a_desk: Desk, author: Browser) -> None:
    found = author.post(PLAY, request=json.dumps(pay(10, subject="somebody")))
    assert found.status_code == 403
    assert a_desk.last_record()["type"] != "inquiry"


DRAFT = """demur: 1
namespace: toy
facts:
  account.frozen: {type: bool, source: accounts}
sources:
  accounts: {kind: python, key: [resource.id]}
actions:
  take: {}
rules:
  - id: take
    effect: permit
    actions: [take]
    when: [{name: thawed, expr: "!account.frozen", explain: the account is not frozen}]
"""
TAKE = {
    "subject": {"type": "person", "id": "arno"},
    "action": {"name": "take"},
    "resource": {"type": "account", "id": "1"},
}


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [('{"account.frozen": false}', "allow"), ('{"account.frozen": true}', "deny"), ("", "deny")],
)
def test_a_text_of_the_moment_judges_and_nothing_is_recorded(
    a_desk: Desk, author: Browser, facts: str, outcome: str
) -> None:
    before = a_desk.last_record()["sequence"]
    told = judge(author, TAKE, policies=DRAFT, facts=facts)
    assert f"Answer {outcome}" in told
    assert "nothing was recorded" in told
    assert a_desk.last_record()["sequence"] == before


def test_a_text_with_problems_is_told_with_line_and_hint(author: Browser) -> None:
    found = author.post(PLAY, request=json.dumps(TAKE), policies=DRAFT.replace("permit", "permitt"), facts="")
    assert found.status_code == 422
    assert re.search(r"\d+:\d+ .*permit", text_of(found))


def test_whoever_may_not_propose_brings_no_text(a_desk: Desk) -> None:
    mara = a_desk.browser("mara", Role.REVIEWER)
    assert "Judge by other policies" not in mara.get(PLAY).text
    found = mara.post(PLAY, request=json.dumps(TAKE), policies=DRAFT, facts="")
    assert found.status_code == 403


def test_a_source_in_a_text_of_the_moment_reads_no_file_of_the_service(author: Browser) -> None:
    for file in ("/etc/passwd", "../../secret.yaml"):
        text = DRAFT.replace("kind: python, key: [resource.id]", f"kind: static, file: {file}, key: resource.id")
        found = author.post(PLAY, request=json.dumps(TAKE), policies=text, facts="")
        assert "root:" not in found.text
        assert "Answer allow" not in text_of(found)
