"""The office's tools behind the gate, and one that lets time pass. Every tool answers in JSON, refused or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import demur
from demur.agents import advice
from demur.core.terms import Timestamp, parse_timestamp
from demur.wiring import Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
NIGHT = parse_timestamp("2026-11-20T21:30:00Z")
MAX_WAIT_SECONDS = 86_400
CLERK = {"type": "user", "id": "kim"}
ASSISTANT = demur.Caller("office-assistant")


class Clock:
    """The office's clock. Time passes when somebody waits, so that the example need not take all night."""

    def __init__(self) -> None:
        self._now = NIGHT

    def now(self) -> Timestamp:
        return self._now

    def wait_until(self, instant: str) -> str:
        """Let time pass; raises `ValueError` for what is no instant within a day from now."""
        at = parse_timestamp(instant)
        if not self._now.nanos <= at.nanos <= self._now.plus(MAX_WAIT_SECONDS).nanos:
            raise ValueError(f"expected an instant within a day after {self._now}, found {instant}")
        self._now = at
        return f"it is {at} now"


class Office:
    """What the agent can call. `done` is what really happened."""

    def __init__(self, home: Path) -> None:
        self.done: list[str] = []
        self.clock = Clock()
        self.gate = open_gate(Settings(HERE, home=home, clock=self.clock)).gate

        def tool(kind: str, argument: str):  # noqa: ANN202  (a decorator)
            def resource(call: Mapping[str, object]) -> Mapping[str, object]:
                return {"type": kind, "id": call[argument]}

            return demur.guard(self.gate, subject=CLERK, resource=resource, caller=ASSISTANT, on_refusal="return")

        @tool("supplier", "supplier")
        def pay_supplier(supplier: str, amount: int) -> str:
            return self._do(f"paid {amount / 100:.2f} EUR to {supplier}")

        @tool("account", "account")
        def delete_account(account: str) -> str:
            return self._do(f"deleted {account}")

        @tool("account", "account")
        def close_account(account: str) -> str:
            return self._do(f"closed {account}")

        @tool("newsletter", "newsletter")
        def send_newsletter(newsletter: str) -> str:
            return self._do(f"sent {newsletter}")

        guarded = (pay_supplier, delete_account, close_account, send_newsletter)
        self._tools = {tool.__name__: tool for tool in guarded} | {"wait_until": self.clock.wait_until}

    def call(self, name: str, arguments: Mapping[str, object]) -> str:
        """What the agent reads: a result, a refusal with what it offers, or what was wrong with the call."""
        if name not in self._tools:
            return json.dumps({"error": f"there is no tool `{name}`"})
        try:
            answer = self._tools[name](**arguments)
        except (demur.DemurError, TypeError, ValueError) as error:
            return json.dumps({"error": str(error)})
        return json.dumps(answer if advice.is_refused(answer) else {"result": answer})

    def _do(self, what: str) -> str:
        self.done.append(what)
        return what


def _function(name: str, about: str, **properties: str) -> dict[str, object]:
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    parameters |= {"required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


CATALOGUE = [
    _function("pay_supplier", "Pay a supplier; the amount is in EUR cent", supplier="string", amount="integer"),
    _function("delete_account", "Delete a customer's account for good", account="string"),
    _function("close_account", "Close a customer's account", account="string"),
    _function("send_newsletter", "Write to all customers", newsletter="string"),
    _function("wait_until", "Wait until an instant in RFC 3339 UTC, within a day", instant="string"),
]
"""The tools as an OpenAI-compatible endpoint wants them described."""
