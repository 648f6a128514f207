"""Refusal infrastructure for AI systems: allow, deny or defer to a person, recorded before anything happens.

    import demur

    with demur.open(policies="policies", home=".demur") as gate:
        answer = gate.decide(request)
        match answer:
            case demur.Grant():     ...  # gate.redeem(answer.token, arguments), act, gate.complete(answer.id, status)
            case demur.Refusal():   ...  # answer.explain(), answer.to_dict()
            case demur.Deferral():  ...  # answer.review_id waits for a person; answer.wait(seconds) goes on

`demur.guard` does all of that around a tool function. `demur.connect(url, credential=...)` asks a service instead.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demur.adapters.callables import Registered
    from demur.agents.python import guard, permit
    from demur.client import Client
    from demur.core.grant import Grant, Redemption
    from demur.core.intake import Caller
    from demur.core.refusal import Refusal
    from demur.core.review import Deferral
    from demur.core.terms import ABSENT, Audience
    from demur.errors import DemurError, RefusedError
    from demur.gateway import Gateway
    from demur.wiring import Anchors

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
    "connect",
    "guard",
    "open",
    "permit",
]

_HOMES = {
    "ABSENT": "demur.core.terms",
    "Audience": "demur.core.terms",
    "Caller": "demur.core.intake",
    "Deferral": "demur.core.review",
    "DemurError": "demur.errors",
    "Gateway": "demur.gateway",
    "Grant": "demur.core.grant",
    "Redemption": "demur.core.grant",
    "Refusal": "demur.core.refusal",
    "RefusedError": "demur.errors",
    "guard": "demur.agents.python",
    "permit": "demur.agents.python",
}
"""Where each public name lives. They are loaded on first use, so that the command starts fast."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module `demur` has no attribute `{name}`"
        raise AttributeError(message)
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


def open(  # noqa: A001  (reads as `demur.open`, beside `gzip.open` and `shelve.open`)
    policies: str | Path,
    *,
    home: str | Path | None = None,
    log: str = "default",
    sources: Mapping[str, Registered] | None = None,
    deadline_seconds: float = 10.0,
    channels: Mapping[str, Sequence[str]] | None = None,
    origin: str = "",
    anchors: Anchors | None = None,
) -> Gateway:
    """Open the embedded gate over a folder of policies.

    `home` keeps ledger, keys, reviews and reviewers; one process owns it at a time. Without it everything lies in
    memory. `sources` are the callables of sources of kind `python`, by name. An answer that takes longer than
    `deadline_seconds` is `unavailable`. `channels` are whom obligations of the type `notify` tell: by the name that
    policies use, URLs for Apprise (extra `notify`). `origin` is the name under which the ledger is signed, a URL
    without its scheme, and `anchors` are who holds signed checkpoints outside.

    Raises `PolicyError`, `ConfigurationError`, `OwnedElsewhereError` or `StoreError`.
    """
    from pathlib import Path  # noqa: PLC0415  (loaded on first use, as the public names are)

    from demur.wiring import Anchors, Settings, open_gate  # noqa: PLC0415

    place = Path(home) if home is not None else None
    settings = Settings(
        Path(policies),
        place,
        log,
        sources or {},
        deadline_seconds,
        channels=channels or {},
        origin=origin,
        anchors=anchors or Anchors(),
    )
    return open_gate(settings).gate


def connect(
    url: str,
    *,
    credential: str = "",
    timeout_seconds: float = 10.0,
    verify: bool | str | Path | ssl.SSLContext = True,
) -> Client:
    """Ask a service at this URL as if its gate were here: `decide`, `submit`, `redeem`, `complete`.

    `credential` is an API key or token. An answer takes `timeout_seconds` at most, or is `unavailable`. `verify` is
    whom to trust: the usual authorities, a file of certificates, or an `ssl.SSLContext`, which may also hold a
    certificate of our own. `demur.client.AsyncClient` does the same on an event loop.

    Raises `ConfigurationError`.
    """
    from demur.client import Client  # noqa: PLC0415  (loaded on first use, as the public names are)

    return Client(url, credential=credential, timeout=timeout_seconds, verify=verify)
