"""Refusal infrastructure for AI systems: allow, deny or defer to a person, recorded before anything happens.

    import demur

    with demur.open(policies="policies", home=".demur") as gate:
        answer = gate.decide(request)
        match answer:
            case demur.Grant():     ...  # gate.redeem(answer.token, arguments), act, gate.complete(answer.id, "success")
            case demur.Refusal():   ...  # answer.explain(), answer.to_dict()
            case demur.Deferral():  ...  # answer.review_id waits for a person

`demur.guard` does all of that around a tool function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from demur.agents.python import guard, permit
from demur.core.grant import Grant, Redemption
from demur.core.intake import Caller
from demur.core.refusal import Refusal
from demur.core.review import Deferral
from demur.core.terms import Audience, Missing
from demur.errors import DemurError, RefusedError
from demur.gateway import Gateway
from demur.wiring import Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.adapters.callables import Registered

__all__ = [
    "ABSENT",
    "Audience",
    "Caller",
    "Deferral",
    "DemurError",
    "Gateway",
    "Grant",
    "Redemption",
    "Refusal",
    "RefusedError",
    "guard",
    "open",
    "permit",
]

ABSENT = Missing.ABSENT
"""What a Python fact source returns where it knows that there is no value."""


def open(  # noqa: A001  (reads as `demur.open`, beside `gzip.open` and `shelve.open`)
    policies: str | Path,
    *,
    home: str | Path | None = None,
    log: str = "default",
    sources: Mapping[str, Registered] | None = None,
    deadline_seconds: float = 10.0,
) -> Gateway:
    """Open the embedded gate over a folder of policies.

    `home` keeps ledger, keys, reviews and reviewers; one process owns it at a time. Without it everything lies in
    memory. `sources` are the callables of sources of kind `python`, by name. An answer that takes longer than
    `deadline_seconds` is `unavailable`.

    Raises `PolicyError`, `ConfigurationError`, `OwnedElsewhereError` or `StoreError`.
    """
    place = Path(home) if home is not None else None
    settings = Settings(Path(policies), place, log, sources or {}, deadline_seconds)
    return open_gate(settings).gate
