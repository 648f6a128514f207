"""The gate as a judge: an open gate, an in-memory store, and facts about the situation that is being judged.

Facts are registered under the session of the trial before its call is judged. The gate is told the session, the action
and the arguments, as any host would tell it; prompt and state reach it through its sources alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import demur
from demur.core.grant import Grant
from demur.core.refusal import Refusal
from demur.core.terms import Outcome
from demur.errors import StoreError
from demur.evaluation.comparison import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from demur.core.terms import Request
    from demur.evaluation.comparison import Situation

    Facts = Mapping[str, object]
    Source = Callable[[Mapping[str, object]], Facts]


class Extractor(Protocol):
    """Prompt and environment -> the sources: by name, functions from a call's arguments to facts."""

    def __call__(self, prompt: str, environment: object) -> Mapping[str, Source]: ...


@contextmanager
def open_judge(
    policies: Path, extract: Extractor, sources: tuple[str, ...]
) -> Iterator[Callable[[Situation], Judgement]]:
    """A judge that asks the gate; `sources` are the names that the policies declare.

    Raises what opening a gate raises, and from the judge `StoreError` where the gate could not decide.
    """
    sessions: dict[str, Mapping[str, Source]] = {}

    def registered(name: str) -> Callable[[Request], Facts]:
        return lambda request: sessions[request.session][name](request.arguments)

    with demur.open(policies=policies, home=None, sources={name: registered(name) for name in sources}) as gate:

        def judge(situation: Situation) -> Judgement:
            session = f"{situation.trial.suite}/{situation.trial.name}"
            sessions[session] = extract(situation.trial.prompt, situation.world.environment)
            return _judgement(gate.decide(_request(situation, session)))

        yield judge


def _request(situation: Situation, session: str) -> dict[str, object]:
    suite = situation.trial.suite
    return {
        "subject": {"type": "user", "id": "account-holder"},
        "actor": {"type": "agent", "id": "assistant"},
        "action": {"name": situation.call.action, "properties": dict(situation.call.arguments)},
        "resource": {"type": suite, "id": suite},
        "session": session,
    }


def _judgement(answer: demur.Grant | demur.Refusal | demur.Deferral) -> Judgement:
    if isinstance(answer, Grant):
        return Judgement(Outcome.ALLOW)
    refusal = answer if isinstance(answer, Refusal) else answer.refusal
    if answer.outcome is Outcome.UNAVAILABLE:
        raise StoreError(f"expected a decision, found none: {refusal.detail}")
    return Judgement(answer.outcome, refusal.determining or (str(refusal.reason.category),))
