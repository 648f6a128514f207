"""An allow that obliges is a `true` only to callers who are registered for all that it obliges to (S6.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.serving import Serving, serving

POLICY = """
demur: 1
namespace: files
facts:
  subject.rank: {type: string, optional: true}
actions:
  read: {arguments: {pages: {type: int, change: true}}}
  list: {}
  copy: {arguments: {pages: {type: int, change: true}}}
rules:
  - id: copy
    effect: permit
    actions: [copy]
    when: [{name: long, expr: action.pages > 10, explain: it is long}]
    obligations: [{id: mark-copy, type: watermark}]
  - id: read-long
    effect: permit
    actions: [read]
    when: [{name: long, expr: action.pages > 10, explain: it is long}]
    obligations:
      - {id: mark, type: watermark, properties: {text: internal}}
      - {id: tell, type: notification, properties: {to: "owner@example.com", body: "was read"}}
  - id: read-short
    effect: permit
    actions: [read]
    when: [{name: short, expr: action.pages <= 10, explain: it is short}]
  - id: list
    effect: permit
    actions: [list]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("obliged")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "files.yaml").write_text(POLICY)
    with serving(folder, policies) as one:
        yield one


def read(pages: int, **more: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "read", "properties": {"pages": pages}},
        "resource": {"type": "file", "id": "f-1"},
        **more,
    }


def ask(
    served: Serving, who: dict[str, str], body: dict[str, Any], path: str = "/access/v1/evaluation", **more: str
) -> Any:
    response = served.client.post(path, json=body, headers={**who, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_whoever_is_registered_for_all_types_gets_them_in_the_form_of_the_profile(served: Serving) -> None:
    told = ask(served, served.add("able", obligations=("watermark", "notification")), read(11))
    assert told["decision"] is True
    assert told["context"]["obligations"] == [
        {"id": "mark", "type": "watermark", "properties": {"text": "internal"}, "text": "internal"},
        {
            "id": "tell",
            "type": "notification",
            "properties": {"to": "owner@example.com", "body": "was read"},
            "to": "owner@example.com",
            "body": "was read",
        },
    ]
    assert [item["id"] for item in told["context"]["grant"]["obligations"]] == ["mark", "tell"]


@pytest.mark.parametrize(
    ("registered", "missing"),
    [
        ((), ["notification", "watermark"]),
        (("watermark",), ["notification"]),
        (("Watermark", "notification"), ["watermark"]),
    ],
)
def test_whoever_is_not_is_denied_and_told_which_types_are_missing(
    served: Serving, registered: tuple[str, ...], missing: list[str]
) -> None:
    who = served.add(f"partly-{len(registered)}-{missing[0]}", obligations=registered)
    told = ask(served, who, read(11))
    assert told["decision"] is False
    assert told["context"]["outcome"] == "deny"
    assert told["context"]["refusal"]["missing_obligations"] == missing
    assert told["context"]["refusal"]["refusal_reason"]["category"] == "policy_violation"
    assert told["context"]["refusal"]["refusal_reason"]["disposition"] == "seek_authority"
    assert "grant" not in told["context"]
    assert "obligations" not in told["context"]


def test_the_denial_is_the_record_and_no_grant_was_ever_written(served: Serving) -> None:
    store = served.service.tenants.parts("clinic").world.store
    before = store.read(lambda tx: tx.head.size)
    ask(served, served.add("none"), read(12))
    leaves = b"\n".join(record.leaf for record in store.records(before))
    assert b'"outcome":"deny"' in leaves
    assert b'"not_understood":["notification","watermark"]' in leaves
    assert b'"grant"' not in leaves


def test_a_permit_without_obligations_needs_no_registration(served: Serving) -> None:
    assert ask(served, served.add("none"), read(3))["decision"] is True


def test_a_remedy_is_offered_only_to_whoever_could_carry_it_out(served: Serving) -> None:
    asked = read(3) | {"action": {"name": "copy", "properties": {"pages": 3}}}

    def offered(who: dict[str, str]) -> list[Any]:
        return list(ask(served, who, asked)["context"]["refusal"]["remediation"]["suggested_modifications"])

    assert offered(served.add("marking", obligations=("watermark",)))
    assert offered(served.add("none")) == []


def test_a_bare_batch_and_a_search_count_only_what_the_caller_can_carry_out(served: Serving) -> None:
    batch = {"evaluations": [read(11), read(3)]}
    able = served.add("able", obligations=("watermark", "notification"))
    assert ask(served, served.add("none"), batch, "/access/v1/evaluations") == {
        "evaluations": [{"decision": False}, {"decision": True}]
    }
    assert ask(served, able, batch, "/access/v1/evaluations") == {
        "evaluations": [{"decision": True}, {"decision": True}]
    }


def test_what_a_request_says_of_itself_registers_nobody(served: Serving) -> None:
    claimed = read(11, context={"obligations_supported": ["watermark", "notification"]}, understands=["watermark"])
    assert ask(served, served.add("none"), claimed)["decision"] is False


def test_an_answer_kept_for_a_registered_caller_is_not_repeated_once_they_are_not(served: Serving) -> None:
    able = served.add("changing", obligations=("watermark", "notification"))
    assert ask(served, able, read(11, request_id="r-1"))["decision"] is True
    served.add("changing")
    again = served.client.post("/access/v1/evaluation", json=read(11, request_id="r-1"), headers=able)
    assert again.status_code == 400
    assert "watermark" in again.json()["detail"]


def test_the_words_are_in_the_caller_s_language(served: Serving) -> None:
    told = ask(served, served.add("none"), read(11), **{"Accept-Language": "de"})
    assert "watermark" in told["context"]["refusal"]["refusal_reason"]["explanation"]
    assert "verpflichtet" in told["context"]["refusal"]["refusal_reason"]["explanation"]


def test_discovery_names_the_types_that_there_can_be(served: Serving) -> None:
    told = served.client.get("/.well-known/authzen-configuration").json()
    assert told["obligations_supported"] == ["custom", "notification", "session_termination", "step-up"]
    assert told["access_request_endpoint"] == "https://pdp.example.com/access/v1/requests"
    assert "urn:openid:authzen:capability:access-request" in told["capabilities"]


def test_what_an_executor_says_of_itself_adds_nothing_to_what_it_is_registered_for(served: Serving) -> None:
    able = served.add("carries-out", obligations=("watermark", "notification"))
    partly = served.add("carries-out-less", obligations=("watermark",))
    grant = ask(served, able, read(11))["context"]["grant"]
    body = {"token": grant["token"], "arguments": {"pages": 11}, "understands": ["watermark", "notification"]}

    refused = ask(served, partly, body, "/grants/redeem")
    redeemed = ask(served, able, body, "/grants/redeem")

    assert refused["redeemed"] is False
    assert "`notification`" in refused["context"]["refusal"]["refusal_reason"]["explanation"]
    assert redeemed["redeemed"] is True
