"""An agent that is told no, reads why, and finds its way: `python examples/agent_loop/run.py [HOME]`.

Three tasks: one succeeds once a value is changed, one by another action, one after waiting. The agent is scripted; with
`OPENAI_BASE_URL` in the environment a model takes its place, and the loop, the tools and the gate stay the same.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scripted import Scripted
from tools import Office

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Message = dict[str, object]
MAX_TURNS = 8
SYSTEM = (
    "You work for a shop's back office and act through tools. A tool may answer with a refusal: `decision` is false. "
    "Read `context.refusal.remediation`. Where a suggested modification leads to allow, call the tool again with "
    "exactly the values that it sets. Where another action leads to allow, call that one. Where `earliest` is given, "
    "wait until then and call again. Otherwise do not try again; say what is needed and from whom."
)
TASKS: list[tuple[str, str, dict[str, object]]] = [
    (
        "Pay acme what we owe, 4000 EUR, or as much of it as you may.",
        "pay_supplier",
        {"supplier": "acme", "amount": 400_000},
    ),
    ("The customer of account a-7 wants to leave; remove it.", "delete_account", {"account": "a-7"}),
    ("Send the newsletter n-3.", "send_newsletter", {"newsletter": "n-3"}),
]


def work(agent: Callable[[Sequence[Message]], Message], office: Office, task: str) -> str:
    """Let the agent work on a task until it calls no more tools; its last words."""
    messages: list[Message] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task}]
    for _ in range(MAX_TURNS):
        message = agent(messages)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return str(message.get("content"))
        for call in calls:
            answer = _called(office, call)
            messages.append({"role": "tool", "tool_call_id": call.get("id"), "content": answer})
    return "gave up"


def _called(office: Office, call: dict) -> str:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        return json.dumps({"error": "expected the arguments as a JSON object"})
    print(f"  call: {function.get('name')} {json.dumps(arguments)}")
    answer = office.call(str(function.get("name")), arguments)
    print(f"    {_short(json.loads(answer))}")
    return answer


def _short(answer: dict) -> str:
    if "context" not in answer:
        return json.dumps(answer)
    refusal = answer["context"]["refusal"]
    way = refusal["remediation"]
    offered = [_offer(item) for item in (*way["suggested_modifications"], *way["compliant_alternatives"])]
    return (
        f"{answer['context']['outcome']}: {refusal['refusal_reason']['explanation']}; offered: {offered or 'nothing'}"
    )


def _offer(item: dict) -> str:
    told = item.get("set") or item.get("earliest") or item.get("action") or item.get("kind")
    return f"{json.dumps(told)} leads to {item['leads_to']}"


def main(home: Path) -> None:
    """Work on every task."""
    office = Office(home)
    with office.gate:
        for task, name, arguments in TASKS:
            print(task)
            if os.environ.get("OPENAI_BASE_URL"):
                from endpoint import Endpoint  # noqa: PLC0415  (needed only with a model)

                agent = Endpoint.of_environment()
            else:
                agent = Scripted(name, arguments)
            print(f"  said: {work(agent, office, task)}")
    print("what happened:", *office.done, sep="\n  ")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "home")
