"""An agent without a model: it begins as it was told and then does what the refusals offer, literally.

It knows nothing of the policies. It speaks the messages of a chat completion, so that a model can take its place.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from demur.agents import advice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Message = dict[str, object]


class Scripted:
    """Answers a conversation. `first` are the name and the arguments of the call that it begins with."""

    def __init__(self, name: str, arguments: Mapping[str, object]) -> None:
        self._wanted = {"action": {"name": name, "properties": dict(arguments)}}
        self._calls = 0
        self._has_waited = False

    def __call__(self, messages: Sequence[Message]) -> Message:
        """The next message: a call of a tool, or the last words."""
        last = messages[-1]
        if last["role"] != "tool":
            return self._call(self._wanted)
        read = json.loads(str(last["content"]))
        if not advice.is_refused(read):
            again, self._has_waited = self._has_waited, False
            return self._call(self._wanted) if again else _say(read)
        for offer in (*advice.offers(read), *advice.alternatives(read)):
            self._wanted = advice.apply(self._wanted, offer)
            return self._call(self._wanted)
        if (at := advice.earliest(read)) is not None:
            self._has_waited = True
            return self._call({"action": {"name": "wait_until", "properties": {"instant": str(at)}}})
        return _say({"result": "nothing I can do would be allowed"})

    def _call(self, request: Mapping[str, object]) -> Message:
        self._calls += 1
        action = request["action"]
        function = {"name": action["name"], "arguments": json.dumps(action["properties"])}
        call = {"id": f"call-{self._calls}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}


def _say(read: Mapping[str, object]) -> Message:
    return {"role": "assistant", "content": str(read.get("result") or read.get("error"))}
