"""A program asks a service as it would the gate beside it: the same answers, and nothing is carried out twice (S6, S7)."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

import demur
from demur.client import AsyncClient
from demur.core.access import Role
from demur.core.review import ReviewState
from demur.core.terms import Audience, Outcome
from demur.errors import AccessError, IntakeError, RulingError, StoreError
from tests.client.hostile import Asked, Hostile
from tests.client.running import running, token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.serving import Serving

Place = tuple["Serving", str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def gate(service: Place) -> Iterator[demur.client.Client]:
    served, url = service
    with demur.connect(url, credential=token(served.add("agent-1"))) as client:
        yield client


def refund(amount: int, **members: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": "änn"},
        "action": {"name": "refund", "properties": {"amount": amount}},
        "resource": {"type": "invoice", "id": "i/9 ü"},
        **members,
    }


def test_a_grant_is_redeemed_once_and_reported_once(gate: Any) -> None:
    answer = gate.decide(refund(90))
    assert isinstance(answer, demur.Grant)
    redeemed = gate.redeem(answer.token, answer.arguments)
    assert isinstance(redeemed, demur.Redemption)
    assert redeemed.grant_id == answer.id
    again = gate.redeem(answer.token, answer.arguments)
    assert isinstance(again, demur.Refusal)
    assert again.outcome is Outcome.DENY
    assert gate.complete(answer.id, "success") is None
    assert isinstance(gate.complete(answer.id, "success"), demur.Refusal)


def test_other_arguments_are_not_redeemed(gate: Any) -> None:
    answer = gate.decide(refund(90))
    assert isinstance(gate.redeem(answer.token, {"amount": 91}), demur.Refusal)
    assert isinstance(gate.redeem(answer.token, {"amount": 90}), demur.Redemption)


def test_a_refusal_brings_its_remedies(gate: Any) -> None:
    answer = gate.decide(refund(90_001))
    assert isinstance(answer, demur.Refusal)
    offered = answer.offered(Audience.AGENT).repairs
    assert [(part.path, part.value) for part in offered[0].parts] == [("action.amount", 50_000)]
    assert "50000" in answer.next_step()


def test_what_the_service_says_is_what_the_gate_beside_it_says(service: Place, gate: Any) -> None:
    beside = service[0].service.tenants.gate("clinic")
    bo = {"type": "user", "id": "bo"}
    for request in (refund(90_002, subject=bo), refund(1, subject=bo, action={"name": "unheard-of"})):
        near, far = beside.decide(request), gate.decide(request)
        assert isinstance(near, demur.Refusal)
        assert isinstance(far, demur.Refusal)
        assert far.reason == near.shown
        near_refusal = near.to_dict()["context"]["refusal"]  # type: ignore[index]  # plain data
        far_refusal = far.to_dict()["context"]["refusal"]  # type: ignore[index]  # plain data
        for varying in ("refused_action", "remediation"):  # who acted, and when the offers were judged
            del near_refusal[varying], far_refusal[varying]
        assert far_refusal == near_refusal


def test_a_deferral_nobody_ruled_on_still_stands(gate: Any) -> None:
    answer = gate.decide(refund(60_000))
    assert answer.outcome is Outcome.DEFER
    assert gate.wait(answer.review_id, 0.1) is ReviewState.PENDING
    assert answer.wait(0.3) is answer
    assert gate.claim(answer.review_id).review_id == answer.review_id


def test_a_deferral_is_waited_for_until_a_person_rules_and_is_then_the_grant(service: Place, gate: Any) -> None:
    """S7: approved by somebody else, the action is judged again, and its grant is used once."""
    served, _ = service
    person = token(served.add_person("bea", Role.REVIEWER))
    answer = gate.decide(refund(61_000))
    threading.Timer(
        0.2, lambda: gate.rule(answer.review_id, verdict="approve", reason="checked", credential=person)
    ).start()
    granted = answer.wait(20)
    assert isinstance(granted, demur.Grant)
    assert (granted.action, granted.arguments, granted.resource.id) == ("refund", {"amount": 61_000}, "i/9 ü")
    assert gate.claim(answer.review_id).token == granted.token
    with pytest.raises(RulingError):
        gate.rule(answer.review_id, verdict="reject", reason="late", credential=person)
    assert isinstance(gate.redeem(granted.token, granted.arguments), demur.Redemption)
    assert isinstance(gate.claim(answer.review_id), demur.Refusal)


def test_a_denial_is_waited_for_and_says_why(service: Place, gate: Any) -> None:
    served, _ = service
    person = token(served.add_person("bea", Role.REVIEWER))
    answer = gate.decide(refund(61_500))
    gate.rule(answer.review_id, verdict="reject", reason="Käthe says no", credential=person)
    refused = answer.wait(20)
    assert isinstance(refused, demur.Refusal)
    assert refused.outcome is Outcome.DENY
    assert "Käthe says no" in refused.explain()


def test_nothing_is_claimed_that_was_opened_for_others(service: Place, gate: Any) -> None:
    answer = gate.decide(refund(61_600))
    with demur.connect(service[1], credential=token(service[0].add("agent-3"))) as other:
        for review_id in (answer.review_id, "0" * 16, "../../me", "ü"):
            with pytest.raises(RulingError):
                other.claim(review_id)


def test_a_deferral_on_an_event_loop_is_waited_for_there(service: Place) -> None:
    served, url = service
    person = token(served.add_person("bea", Role.REVIEWER))

    async def main() -> list[Any]:
        async with AsyncClient(url, credential=token(served.add("agent-4"))) as client:
            answer: Any = await client.decide(refund(61_700))
            waits = asyncio.create_task(answer.wait(20))
            await client.rule(answer.review_id, verdict="approve", reason="checked", credential=person)
            return [await answer.wait(20), await waits]

    first, second = asyncio.run(main())
    assert isinstance(first, demur.Grant)
    assert first.token == second.token


def test_a_deferral_that_a_client_was_given_is_pickled_as_a_plain_value(gate: Any) -> None:
    answer = gate.decide(refund(61_800))
    moved = pickle.loads(pickle.dumps(answer))
    assert moved == answer
    assert type(moved) is demur.Deferral


def test_reviewers_list_and_read_what_waits(service: Place, gate: Any) -> None:
    served, _ = service
    person = token(served.add_person("bea", Role.REVIEWER))
    waiting = {gate.decide(refund(amount)).review_id for amount in (63_001, 63_002, 63_003)}
    found: set[str] = set()
    mark = ""
    while True:
        page = gate.reviews(credential=person, role="supervisor", risk="high", limit=2, token=mark)
        assert len(page.reviews) <= 2
        found |= {str(one["review_id"]) for one in page.reviews}
        mark = page.next_token
        if not mark:
            break
    assert waiting <= found
    one = min(waiting)
    assert gate.review(one, credential=person)["action_intent"]["name"] == "refund"
    gate.rule(one, verdict="reject", reason="no", credential=person)
    assert one in {str(each["review_id"]) for each in gate.reviews(credential=person, status="denied").reviews}


def test_who_may_not_read_reviews_is_told_and_so_is_what_cannot_be_read(service: Place, gate: Any) -> None:
    served, _ = service
    own, person = token(served.add("agent-1")), token(served.add_person("bea", Role.REVIEWER))
    with pytest.raises(AccessError):
        gate.reviews(credential=own)
    with pytest.raises(IntakeError):
        gate.reviews(credential=person, status="whatever")
    for unknown in ("0" * 16, "../levers", "ü?x=1"):
        with pytest.raises(RulingError):
            gate.review(unknown, credential=person)
    with demur.connect("http://127.0.0.1:9", timeout_seconds=2) as nowhere, pytest.raises(StoreError):
        nowhere.reviews(credential=person)


def test_a_program_cannot_rule(service: Place, gate: Any) -> None:
    served, _ = service
    answer = gate.decide(refund(62_000))
    own = token(served.add("agent-1"))
    with pytest.raises((AccessError, RulingError)):
        gate.rule(answer.review_id, verdict="approve", reason="mine", credential=own)
    assert gate.review_state(answer.review_id) is ReviewState.PENDING


def test_a_ruling_of_which_nothing_is_heard_is_an_error() -> None:
    with Hostile(lambda connection, _, __: None) as silent, demur.connect(silent.url) as gate:
        with pytest.raises(StoreError):
            gate.rule("r", verdict="approve", reason="x", credential="p")
        assert len(silent.asked) == 1
        assert gate.review_state("r") is ReviewState.PENDING
    with pytest.raises(StoreError):
        gate.rule("r", verdict="approve", reason="x", credential="p")


def test_the_decorator_runs_a_function_once_with_what_was_granted(gate: Any) -> None:
    rows_seen = []

    @demur.guard(gate, subject={"type": "user", "id": "ann"}, resource={"type": "table", "id": "t"})
    def export(rows: int) -> int:
        rows_seen.append(rows)
        return rows

    assert export(500) == 10
    assert rows_seen == [10]


def test_the_decorator_runs_a_coroutine_function(gate: Any) -> None:
    ran = []

    @demur.guard(gate, subject={"type": "user", "id": "ann"}, resource={"type": "invoice", "id": "i"})
    async def refund(amount: int) -> None:
        ran.append(amount)

    async def main() -> None:
        await refund(5)
        with pytest.raises(demur.RefusedError):
            await refund(95_000)

    asyncio.run(main())
    assert ran == [5]


def test_on_an_event_loop(service: Place) -> None:
    served, url = service
    credential = token(served.add("agent-2"))

    async def main() -> list[Any]:
        async with AsyncClient(url, credential=credential) as client:
            answers = await asyncio.gather(*(client.decide(refund(amount)) for amount in (1, 95_000, 70_000)))
            redeemed = await client.redeem(answers[0].token, answers[0].arguments)  # type: ignore[union-attr]  # a grant
            return [*answers, redeemed, await client.complete(redeemed.grant_id, "failure")]  # type: ignore[union-attr]  # redeemed

    *answers, ended = asyncio.run(main())
    kinds = [demur.Grant, demur.Refusal, demur.Deferral, demur.Redemption]
    assert [isinstance(found, kind) for found, kind in zip(answers, kinds, strict=True)] == [True] * 4
    assert ended is None


def test_a_malformed_request_and_a_wrong_credential_are_errors(service: Place, gate: Any) -> None:
    with pytest.raises(IntakeError) as caught:
        gate.decide(refund(90, context=5))
    assert caught.value.pointer == "/context"
    with demur.connect(service[1], credential="nobody") as other, pytest.raises(AccessError):
        other.decide(refund(90))


def test_a_request_id_of_the_program_is_kept(gate: Any) -> None:
    first = gate.decide(refund(7, request_id="order-77"))
    again = gate.decide(refund(7, request_id="order-77"))
    assert isinstance(first, demur.Grant)
    assert (again.id, again.audit_id) == (first.id, first.audit_id)
    with pytest.raises(IntakeError):
        gate.decide(refund(8, request_id="order-77"))


class Lossy:
    """Stands between and passes everything on, but of the first replies the client hears nothing."""

    def __init__(self, url: str, *, lost: int, broken: bytes = b"") -> None:
        self._url, self._lost, self._broken = url, lost, broken
        self.passed = 0

    def __call__(self, connection: socket.socket, asked: Asked, place: int) -> None:
        headers = {name: asked.headers[name] for name in ("authorization", "content-type", "x-request-id")}
        found = httpx2.request(asked.method, self._url + asked.path, json=asked.members, headers=headers)
        self.passed += 1
        if place < self._lost:
            connection.sendall(self._broken)
            return
        head = f"HTTP/1.1 {found.status_code} X\r\nContent-Type: {found.headers['content-type']}\r\n"
        connection.sendall(f"{head}Content-Length: {len(found.content)}\r\n\r\n".encode() + found.content)


@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n"], ids=["hangs up", "502"])
def test_a_lost_answer_is_asked_for_again_and_is_the_same(service: Place, broken: bytes) -> None:
    """S1.4: one decision, one grant, however often it is asked for."""
    served, url = service
    before = served.service.tenants.gate("clinic")
    lossy = Lossy(url, lost=2, broken=broken)
    with Hostile(lossy) as between, demur.connect(between.url, credential=token(served.add("agent-3"))) as gate:
        answer = gate.decide(refund(11))
    assert isinstance(answer, demur.Grant)
    assert lossy.passed == 3
    assert len({asked.members["request_id"] for asked in between.asked}) == 1
    assert isinstance(before.redeem(answer.token, {"amount": 11}), demur.Redemption)


def test_a_lost_redemption_is_not_repeated_and_not_acted_on(service: Place) -> None:
    """S6.2: whether it was used up cannot be known, so nothing is carried out."""
    served, url = service
    lossy = Lossy(url, lost=0)
    with Hostile(lossy) as between, demur.connect(between.url, credential=token(served.add("agent-4"))) as gate:
        answer = gate.decide(refund(12))
        assert isinstance(answer, demur.Grant)
        lossy._lost = 99
        lost = gate.redeem(answer.token, answer.arguments)
    assert isinstance(lost, demur.Refusal)
    assert lost.outcome is Outcome.UNAVAILABLE
    assert [asked.path for asked in between.asked].count("/grants/redeem") == 1


def test_after_a_fork_the_child_asks_on_its_own(gate: Any) -> None:
    assert isinstance(gate.decide(refund(13)), demur.Grant)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = "nothing"
        try:
            outcome = str(gate.decide(refund(14)).outcome)
        finally:
            os.write(writer, outcome.encode())
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 64) == b"allow"
    os.waitpid(child, 0)
    os.close(reader)
    assert isinstance(gate.decide(refund(15)), demur.Grant)


def test_a_closed_client_grants_nothing(service: Place) -> None:
    served, url = service
    gate = demur.connect(url, credential=token(served.add("agent-5")))
    assert isinstance(gate.decide(refund(16)), demur.Grant)
    gate.close()
    assert gate.decide(refund(17)).outcome is Outcome.UNAVAILABLE
    assert gate.submit(refund(18)).result().outcome is Outcome.UNAVAILABLE
