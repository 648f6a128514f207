"""AuthZEN's certification scenario for the Authorization API 1.0: every level, core and properties.

The numbers are those of the scenario's sections. Source: openid/authzen, certification/authorization-api-1_0-scenario.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .serving import HERE, URL, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
ALICE: dict[str, Any] = {"type": "user", "id": "alice"}
BOB: dict[str, Any] = {"type": "user", "id": "bob"}
ADMIN = BOB | {"properties": {"role": "admin"}}
READ: dict[str, Any] = {"name": "read"}
WRITE: dict[str, Any] = {"name": "write"}
FIRST: dict[str, Any] = {"type": "record", "id": "record-1"}
SECOND: dict[str, Any] = {"type": "record", "id": "record-2"}
ACTIVE = FIRST | {"properties": {"status": "active"}}
ARCHIVED = SECOND | {"properties": {"status": "archived"}}
CONTEXT = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}


def asked(subject: Any = ALICE, action: Any = READ, resource: Any = FIRST, **more: Any) -> dict[str, Any]:
    parts = {"subject": subject, "action": action, "resource": resource, **more}
    return {name: part for name, part in parts.items() if part is not None}


def soft(is_soft: bool) -> dict[str, Any]:
    return {"name": "delete", "properties": {"soft": is_soft}}


@pytest.fixture(scope="module")
def pdp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("pdp"), HERE / "authzen_fixture") as running:
        running.client.headers.update(running.add("harness"))
        yield running


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        pytest.param(asked(), True, id="2.2.1 permit, rule 1"),
        pytest.param(asked(action=WRITE), True, id="1.4 rule 2"),
        pytest.param(asked(BOB), True, id="1.4 rule 3"),
        pytest.param(asked(BOB, WRITE), False, id="2.2.2 deny, rule 4"),
        pytest.param(asked(context=CONTEXT), True, id="2.2.3 context"),
        pytest.param(asked(action=WRITE, resource=ARCHIVED), False, id="2.2.4 deny by properties, rule 5"),
        pytest.param(asked(ADMIN, WRITE, ARCHIVED), True, id="2.2.5 permit by properties, rule 6"),
        pytest.param(asked(action=soft(True)), True, id="2.2.6 rule 7"),
        pytest.param(asked(action=soft(False)), False, id="2.2.7 rule 8"),
        pytest.param(
            asked(
                ALICE | {"properties": {"department": "Sales", "role": "manager"}},
                READ | {"properties": {"method": "GET"}},
                FIRST | {"properties": {"status": "active", "owner": "bob"}},
            ),
            True,
            id="2.2.8 additional properties",
        ),
        pytest.param(asked(foo="bar", futureField={"nested": True}), True, id="2.2.9 unknown fields"),
    ],
)
def test_basic(body: dict[str, Any], decision: bool, pdp: Serving) -> None:
    answer = pdp.client.post(ONE, json=body)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["decision"] is decision
    assert isinstance(answer.json()["context"], dict)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(asked(subject=None), id="2.4.1 no subject"),
        pytest.param(asked(action=None), id="2.4.1 no action"),
        pytest.param(asked(resource=None), id="2.4.1 no resource"),
        pytest.param(asked({"id": "alice"}), id="2.4.2 subject without type"),
        pytest.param(asked({"type": "user"}), id="2.4.2 subject without id"),
        pytest.param(asked(action={}), id="2.4.2 action without name"),
        pytest.param(asked(resource={"id": "record-1"}), id="2.4.2 resource without type"),
        pytest.param(asked(resource={"type": "record"}), id="2.4.2 resource without id"),
        pytest.param(asked("alice"), id="2.4.6 subject is text"),
        pytest.param(asked(action={"name": 123}), id="2.4.6 name is a number"),
    ],
)
@pytest.mark.parametrize("path", [ONE, MANY])
def test_what_is_malformed_is_a_400(body: dict[str, Any], path: str, pdp: Serving) -> None:
    answer = pdp.client.post(path, json=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b'{"subject": {}}', "text/plain", id="2.4.3 another content type"),
        pytest.param(b'{"subject": {"type": ', "application/json", id="2.4.4 no JSON"),
        pytest.param(b"", "application/json", id="2.4.5 nothing"),
        pytest.param(b"[]", "application/json", id="a list"),
    ],
)
@pytest.mark.parametrize("path", [ONE, MANY, "/access/v1/search/action"])
def test_a_body_that_is_no_object_is_a_400(content: bytes, kind: str, path: str, pdp: Serving) -> None:
    answer = pdp.client.post(path, content=content, headers={"Content-Type": kind})

    assert answer.status_code == 400


@pytest.mark.parametrize("path", [ONE, MANY])
@pytest.mark.parametrize("body", [asked(), {}])
def test_the_request_id_comes_back(path: str, body: dict[str, Any], pdp: Serving) -> None:
    """2.5.1"""
    answer = pdp.client.post(path, json=body, headers={"X-Request-ID": "bfe9eb29-ab87"})

    assert answer.headers["x-request-id"] == "bfe9eb29-ab87"


def test_no_request_id_is_needed(pdp: Serving) -> None:
    """2.5.2"""
    answer = pdp.client.post(ONE, json=asked())

    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(("body", "decision"), [(asked(), True), (asked(BOB, WRITE), False)])
def test_the_same_request_gets_the_same_decision(body: dict[str, Any], decision: bool, pdp: Serving) -> None:
    """2.6"""
    assert [pdp.client.post(ONE, json=body).json()["decision"] for _ in range(5)] == [decision] * 5


@pytest.mark.parametrize(
    ("body", "decisions"),
    [
        pytest.param(
            {"subject": ALICE, "action": READ, "evaluations": [{"resource": FIRST}, {"resource": SECOND}]},
            [True, True],
            id="3.2.1 resources",
        ),
        pytest.param(
            {"subject": BOB, "resource": FIRST, "evaluations": [{"action": READ}, {"action": WRITE}]},
            [True, False],
            id="3.2.2 actions, in order",
        ),
        pytest.param(
            {"subject": ALICE, "action": WRITE, "evaluations": [{"resource": ACTIVE}, {"resource": ARCHIVED}]},
            [True, False],
            id="3.2.3 properties of each",
        ),
        pytest.param(
            {"action": WRITE, "resource": ARCHIVED, "evaluations": [{"subject": ALICE}, {"subject": ADMIN}]},
            [False, True],
            id="3.2.4 subjects",
        ),
        pytest.param({"evaluations": [asked(), asked(BOB, WRITE)]}, [True, False], id="3.2.5 no defaults"),
        pytest.param(
            {
                "subject": ALICE,
                "action": READ,
                "context": {"time": "2025-06-27T18:03-07:00"},
                "evaluations": [{"resource": FIRST}, {"resource": SECOND, "context": {"source": "batch-override"}}],
            },
            [True, True],
            id="3.2.6 context",
        ),
        pytest.param(
            {
                "subject": ALICE,
                "action": WRITE,
                "resource": {"type": "record"},
                "evaluations": [
                    {"resource": {"id": "record-1", "properties": {"status": "active"}}},
                    {"resource": ARCHIVED},
                ],
            },
            [True, False],
            id="3.2.7 entities replace, but for what they need",
        ),
        pytest.param(
            {"subject": ALICE, "action": READ, "evaluations": [{"resource": FIRST}, {}]},
            [True, False],
            id="3.4.1 one item is at fault",
        ),
        pytest.param(
            {"subject": ALICE, "action": READ, "context": {}, "evaluations": [{"resource": FIRST}, {}]},
            [True, False],
            id="3.4.1 the same, with context",
        ),
    ],
)
def test_batch(body: dict[str, Any], decisions: list[bool], pdp: Serving) -> None:
    answer = pdp.client.post(MANY, json=body)

    assert answer.status_code == 200
    assert [item["decision"] for item in answer.json()["evaluations"]] == decisions
    assert "decision" not in answer.json()


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
def test_a_batch_of_none_is_one_evaluation(more: dict[str, Any], pdp: Serving) -> None:
    """3.4.2, 3.4.3"""
    answer = pdp.client.post(MANY, json=asked() | more)

    assert (answer.status_code, answer.json()["decision"]) == (200, True)


@pytest.mark.parametrize("context", [{}, {"context": {}}])
@pytest.mark.parametrize(
    ("semantic", "decisions"),
    [
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_when_a_batch_ends(semantic: str, decisions: list[bool], context: dict[str, Any], pdp: Serving) -> None:
    """Section 7.1.2 of the standard."""
    body = {
        "subject": BOB,
        "resource": FIRST,
        "options": {"evaluations_semantic": semantic},
        "evaluations": [{"action": READ}, {"action": WRITE}, {"action": READ}],
        **context,
    }
    answer = pdp.client.post(MANY, json=body)

    assert [item["decision"] for item in answer.json()["evaluations"]] == decisions


def test_only_a_batch_with_context_gives_grants(pdp: Serving) -> None:
    """S5.3"""
    body: dict[str, Any] = {"subject": ALICE, "action": READ, "evaluations": [{"resource": FIRST}]}
    (bare,) = pdp.client.post(MANY, json=body).json()["evaluations"]
    (full,) = pdp.client.post(MANY, json=body | {"context": {}}).json()["evaluations"]

    assert bare == {"decision": True}
    assert full["context"]["grant"]["token"]


SEARCHES = [
    pytest.param("subject", asked({"type": "user"}), [ALICE, BOB], id="4.2.1"),
    pytest.param("subject", asked({"type": "user"}, context=CONTEXT), [ALICE, BOB], id="4.2.2"),
    pytest.param("subject", asked({"type": "user"}, WRITE, ARCHIVED), [BOB], id="4.2.4"),
    pytest.param("resource", asked(resource={"type": "record"}), [FIRST, SECOND], id="4.3.1"),
    pytest.param("resource", asked(ADMIN, WRITE, {"type": "record"}), [SECOND], id="4.3.3"),
    pytest.param("action", asked(action=None), [READ, WRITE], id="4.4.1"),
    pytest.param("action", asked(action=None, context=CONTEXT), [READ, WRITE], id="4.4.2"),
    pytest.param("action", asked(ADMIN, None, ARCHIVED), [READ, WRITE], id="4.4.3"),
    pytest.param("action", asked({"type": "user", "id": "nonexistent-user"}, None), [], id="4.6.1"),
    pytest.param("subject", asked({"type": "spaceship"}), [], id="4.6.2 subject"),
    pytest.param("resource", asked(resource={"type": "spaceship"}), [], id="4.6.2 resource"),
    pytest.param("action", asked(action=None, resource={"type": "spaceship", "id": "1"}), [], id="4.6.2 action"),
]


@pytest.mark.parametrize(("sought", "body", "results"), SEARCHES)
def test_search(sought: str, body: dict[str, Any], results: list[dict[str, Any]], pdp: Serving) -> None:
    answer = pdp.client.post(f"/access/v1/search/{sought}", json=body)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["results"] == results
    assert answer.json()["page"]["next_token"] == ""


def test_pages_go_on_to_the_end(pdp: Serving) -> None:
    """4.5"""
    body: dict[str, Any] = asked({"type": "user"})
    first = pdp.client.post("/access/v1/search/subject", json=body | {"page": {"limit": 1}}).json()
    token = first["page"]["next_token"]
    second = pdp.client.post("/access/v1/search/subject", json=body | {"page": {"token": token}}).json()

    assert first["results"] == [ALICE]
    assert token
    assert second["results"] == [BOB]
    assert second["page"]["next_token"] == ""


@pytest.mark.parametrize(
    ("sought", "body"),
    [
        pytest.param("subject", asked({"type": "user"}, None), id="4.7.1 subject search without action"),
        pytest.param("resource", asked(None, resource={"type": "record"}), id="4.7.1 resource search without subject"),
        pytest.param("action", asked(action=None, resource=None), id="4.7.1 action search without resource"),
        pytest.param("subject", asked({"type": "user"}, resource={"type": "record"}), id="4.7.2 resource without id"),
        pytest.param("resource", asked({"type": "user"}, resource={"type": "record"}), id="4.7.2 subject without id"),
        pytest.param("subject", asked({"type": "user"}, page=1), id="page is a number"),
        pytest.param("subject", asked({"type": "user"}, page={"limit": 0}), id="no results wanted"),
        pytest.param("subject", asked({"type": "user"}, page={"token": "x"}), id="a token that we did not give"),
        pytest.param("subject", asked({"type": "user"}, READ | {"properties": {"x": 1}}), id="an undeclared argument"),
    ],
)
def test_a_malformed_search_is_a_400(sought: str, body: dict[str, Any], pdp: Serving) -> None:
    assert pdp.client.post(f"/access/v1/search/{sought}", json=body).status_code == 400


def test_a_token_belongs_to_its_search(pdp: Serving) -> None:
    body: dict[str, Any] = asked({"type": "user"}, page={"limit": 1})
    token = pdp.client.post("/access/v1/search/subject", json=body).json()["page"]["next_token"]
    other = asked({"type": "user"}, WRITE, page={"token": token})

    assert pdp.client.post("/access/v1/search/subject", json=other).status_code == 400


@pytest.mark.parametrize("tenant", ["", "/clinic"])
def test_discovery(tenant: str, pdp: Serving) -> None:
    """6"""
    answer = pdp.client.get(f"/.well-known/authzen-configuration{tenant}", headers={"Authorization": ""})
    told = answer.json()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert told["policy_decision_point"] == URL + tenant
    assert told["access_evaluation_endpoint"] == URL + ONE
    assert [place for name, place in told.items() if name.endswith("_endpoint") and not place.startswith(URL)] == []
    assert all(isinstance(urn, str) for urn in told.get("capabilities", []))
