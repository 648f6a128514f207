"""A guarded function runs only with a redeemed grant for exactly its arguments, and how it ended is recorded (S6)."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.agents.python import guard, permit
from demur.core.refusal import Refusal
from demur.core.review import Deferral
from demur.errors import ConfigurationError, IntakeError, RefusedError
from tests.flows.shop import Shop, open_shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from demur.gateway import Gateway

POLICY = """
demur: 1
namespace: shop
sources:
  account: {kind: python}
facts:
  account.frozen: {type: bool, source: account, recheck_at_redeem: true}
actions:
  refund:
    arguments:
      amount: int
      note: {type: string, optional: true}
      pin: {type: string, optional: true, secret: true}
      lines: {type: list<int>, optional: true}
  export:
    arguments:
      max_rows: {type: int, optional: true}
rules:
  - id: small
    effect: permit
    actions: [refund]
    when: [{name: small, expr: action.amount <= 100, explain: the amount is small}]
  - id: large
    effect: review
    actions: [refund]
    when: [{name: large, expr: action.amount > 1000, explain: the amount is large}]
    review: {role: manager, quorum: 1, within: 1h, risk: high}
  - id: frozen
    effect: forbid
    actions: [refund]
    when: [{name: frozen, expr: account.frozen, explain: the account is frozen}]
  - id: export
    effect: permit
    actions: [export]
    narrow: {max_rows: {at_most: 10}}
    obligations: [{id: mark, type: watermark}]
"""
WHO: dict[str, Any] = {"subject": {"type": "user", "id": "ann"}, "resource": {"type": "invoice", "id": "i-1"}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path, policy=POLICY)
    yield opened
    opened.gate.close()


def kinds(shop: Shop) -> list[str]:
    """What the ledger says happened to grants, in order."""
    leaves = [json.loads(record.leaf) for record in shop.parts.world.store.records()]
    return [_said(leaf) for leaf in leaves if _said(leaf)]


def _said(leaf: Mapping[str, Any]) -> str:
    text = json.dumps(leaf)
    if "grant_completed" in text:
        return next(status for status in ("success", "failure", "unknown") if f'"{status}"' in text)
    return "redeemed" if '"grant_redeemed"' in text else ""


def test_a_permitted_call_runs_once_and_is_completed(shop: Shop) -> None:
    calls: list[int] = []

    @guard(shop.gate, **WHO)
    def refund(amount: int) -> str:
        calls.append(amount)
        assert kinds(shop) == ["redeemed"]
        return "done"

    assert refund(50) == "done"
    assert calls == [50]
    assert kinds(shop) == ["redeemed", "success"]


def test_a_refused_call_does_not_run(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> None:
        raise AssertionError(amount)

    with pytest.raises(RefusedError) as caught:
        refund(500)

    assert isinstance(caught.value.answer, Refusal)
    assert kinds(shop) == []


def test_a_deferred_call_does_not_run(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> None:
        raise AssertionError(amount)

    with pytest.raises(RefusedError) as caught:
        refund(5_000)

    assert isinstance(caught.value.answer, Deferral)
    assert caught.value.answer.review_id in str(caught.value)


def opened_with(folder: Path, account: Callable[[object], Mapping[str, object]]) -> Gateway:
    policies = folder / "other"
    policies.mkdir()
    (policies / "shop.yaml").write_text(POLICY)
    return demur.open(policies, sources={"account": account})


def test_what_changes_between_decision_and_redemption_stops_the_call(tmp_path: Path) -> None:
    """The account is frozen after the decision; the fact is judged again when the grant is redeemed (S6.2)."""
    frozen = iter([False, True])
    ran: list[int] = []
    with opened_with(tmp_path, lambda _: {"account.frozen": next(frozen)}) as gate:

        @guard(gate, **WHO)
        def refund(amount: int) -> None:
            ran.append(amount)

        with pytest.raises(RefusedError):
            refund(50)

    assert ran == []


def test_arguments_that_were_altered_after_the_decision_stop_the_call(tmp_path: Path) -> None:
    """The list is another one by the time of redemption: what would run is not what was granted."""
    lines = [1, 2]
    ran: list[object] = []

    def altering(_: object) -> dict[str, object]:
        lines.append(3)
        return {"account.frozen": False}

    with opened_with(tmp_path, altering) as gate:

        @guard(gate, **WHO)
        def refund(amount: int, lines: list[int]) -> None:
            ran.append((amount, lines))

        with pytest.raises(RefusedError, match="not those that were granted"):
            refund(50, lines)

    assert ran == []


def test_an_exception_is_recorded_as_a_failure_and_passed_on(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> None:
        raise ConnectionError(amount)

    with pytest.raises(ConnectionError):
        refund(50)

    assert kinds(shop) == ["redeemed", "failure"]


def test_an_interruption_leaves_the_outcome_unknown(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> None:
        raise KeyboardInterrupt(amount)

    with pytest.raises(KeyboardInterrupt):
        refund(50)

    assert kinds(shop) == ["redeemed", "unknown"]


def test_a_narrowed_argument_is_what_runs(shop: Shop) -> None:
    @guard(shop.gate, understands=["watermark"], **WHO)
    def export(max_rows: int | None = None) -> int | None:
        return max_rows

    assert (export(500), export(), export(5)) == (10, 10, 5)


def test_a_narrowing_that_the_function_cannot_take_stops_the_call(shop: Shop) -> None:
    ran: list[int] = []

    @guard(shop.gate, understands=["watermark"], **WHO)
    def export() -> None:
        ran.append(1)

    with pytest.raises(ConfigurationError, match="`export` was narrowed by `max_rows`, which it does not take"):
        export()

    assert (ran, kinds(shop)) == ([], [])


def test_a_narrowed_argument_reaches_a_function_that_takes_any(shop: Shop) -> None:
    @guard(shop.gate, "export", understands=["watermark"], **WHO)
    def run(**arguments: object) -> dict[str, object]:
        return arguments

    assert run(max_rows=50) == {"max_rows": 10}


def test_an_obligation_that_nobody_understands_stops_the_call(shop: Shop) -> None:
    ran: list[int] = []

    @guard(shop.gate, **WHO)
    def export(max_rows: int = 1) -> None:
        ran.append(max_rows)

    with pytest.raises(RefusedError, match="watermark"):
        export()

    assert ran == []


def test_secret_arguments_reach_the_function_and_no_record(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int, pin: str) -> tuple[int, str]:
        return amount, pin

    assert refund(50, pin="hunter-2") == (50, "hunter-2")
    assert all(b"hunter-2" not in record.leaf for record in shop.parts.world.store.records())


def test_defaults_are_part_of_what_is_judged(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int = 5_000) -> None:
        raise AssertionError(amount)

    with pytest.raises(RefusedError):
        refund()


def test_an_argument_that_is_none_by_default_is_left_out(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int, note: str | None = None) -> str | None:
        return note

    assert (refund(50), refund(50, "late")) == (None, "late")


def test_an_argument_of_the_wrong_type_is_an_error_and_does_not_run(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: object) -> None:
        raise AssertionError(amount)

    with pytest.raises(IntakeError):
        refund("50")


def test_parts_of_the_request_may_follow_from_the_arguments(shop: Shop) -> None:
    seen: list[dict[str, object]] = []

    def resource(arguments: Mapping[str, object]) -> Mapping[str, object]:
        seen.append(dict(arguments))
        return {"type": "invoice", "id": f"i-{arguments['amount']}"}

    @guard(shop.gate, subject=WHO["subject"], resource=resource)
    def refund(amount: int) -> int:
        return amount

    assert refund(50) == 50
    assert seen == [{"amount": 50}]


def test_methods_are_guarded_without_their_object(shop: Shop) -> None:
    class Till:
        @guard(shop.gate, **WHO)
        def refund(self, amount: int) -> int:
            return amount

    assert Till().refund(50) == 50


def test_a_function_may_answer_a_refusal_itself(shop: Shop) -> None:
    @guard(shop.gate, on_refusal=lambda answer: answer.outcome.value, **WHO)
    def refund(amount: int) -> object:
        return amount

    assert (refund(50), refund(500), refund(5_000)) == (50, "deny", "defer")


def test_a_refusal_within_the_function_is_not_taken_for_its_own(shop: Shop) -> None:
    @guard(shop.gate, on_refusal=lambda _: "answered", **WHO)
    def refund(amount: int) -> object:
        raise RefusedError("another tool was refused", Refusal)

    with pytest.raises(RefusedError, match="another tool was refused"):
        refund(50)

    assert kinds(shop) == ["redeemed", "failure"]


def test_name_signature_and_documentation_stay(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int, note: str = "x") -> None:
        """Pay back."""

    assert (refund.__name__, refund.__doc__) == ("refund", "Pay back.")
    assert str(inspect.signature(refund)) == "(amount: 'int', note: 'str' = 'x') -> 'None'"


def _unnamed(*amounts: int) -> None: ...


def _stepwise(amount: int) -> Iterator[int]:
    yield amount


async def _stepwise_async(amount: int) -> AsyncIterator[int]:
    yield amount


def _ambiguous(amount: int, /, **rest: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_unnamed, r"`_unnamed`: expected named parameters, found `\*args`"),
        (_stepwise, "found a generator"),
        (_stepwise_async, "found a generator"),
        (_ambiguous, r"expected no positional-only parameters beside `\*\*arguments`"),
    ],
)
def test_a_function_that_cannot_be_guarded_is_refused_at_decoration(shop: Shop, function: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        guard(shop.gate, **WHO)(function)


def test_wrong_arguments_fail_as_the_call_itself_would(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> None: ...

    with pytest.raises(TypeError):
        refund(1, 2)  # type: ignore[call-arg]


def test_a_coroutine_function_runs_with_a_grant(shop: Shop) -> None:
    @guard(shop.gate, **WHO)
    async def refund(amount: int) -> int:
        await asyncio.sleep(0)
        return amount

    assert inspect.iscoroutinefunction(refund)
    assert asyncio.run(refund(50)) == 50
    assert kinds(shop) == ["redeemed", "success"]
    with pytest.raises(RefusedError):
        asyncio.run(refund(500))


def test_a_cancelled_coroutine_leaves_the_outcome_unknown(shop: Shop) -> None:
    async def story() -> None:
        started = asyncio.Event()

        @guard(shop.gate, **WHO)
        async def refund(amount: int) -> None:
            started.set()
            await asyncio.sleep(10)

        task = asyncio.create_task(refund(50))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())

    assert kinds(shop) == ["redeemed", "unknown"]


def test_a_call_cancelled_before_it_began_never_runs(shop: Shop) -> None:
    ran: list[int] = []

    async def story() -> None:
        @guard(shop.gate, **WHO)
        async def refund(amount: int) -> None:
            ran.append(amount)

        task = asyncio.create_task(refund(50))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)

    asyncio.run(story())

    assert ran == []
    assert kinds(shop) in ([], ["redeemed"], ["redeemed", "failure"])


def test_a_permit_runs_its_body_with_the_granted_arguments(shop: Shop) -> None:
    request = {**WHO, "action": {"name": "export", "properties": {"max_rows": 500}}}

    with permit(shop.gate, request, understands=["watermark"]) as permitted:
        assert permitted.arguments == {"max_rows": 10}
        assert [item.type for item in permitted.obligations] == ["watermark"]

    assert kinds(shop) == ["redeemed", "success"]


def test_a_refused_permit_never_enters_its_body(shop: Shop) -> None:
    with pytest.raises(RefusedError), permit(shop.gate, {**WHO, "action": {"name": "delete"}}):
        raise AssertionError

    assert kinds(shop) == []


def test_an_asynchronous_permit_records_what_its_body_raised(shop: Shop) -> None:
    async def story() -> None:
        async with permit(shop.gate, {**WHO, "action": {"name": "refund", "properties": {"amount": 1}}}):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(story())

    assert kinds(shop) == ["redeemed", "failure"]


def test_an_end_that_cannot_be_recorded_is_logged_and_hides_no_result(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @guard(shop.gate, **WHO)
    def refund(amount: int) -> int:
        shop.parts.world.store.close()
        return amount

    with caplog.at_level(logging.ERROR, logger="demur"):
        assert refund(50) == 50

    assert "(success) could not be recorded" in caplog.text
