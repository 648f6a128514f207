"""The gate from afar: the same three answers as the embedded one, asked of a service over HTTP.

    gate = demur.connect("https://demur.example", credential="demur-caller-...")

A program moves from `demur.open(...)` to this line, and the rest of it stays: `decide`, `submit`, `redeem`, `complete`,
`guard` and `permit`.

- Whatever is not wholly an answer to this very question is the `unavailable` refusal: a timeout, a refused connection,
  a certificate that does not fit, a redirect, another status, another content type, too much, JSON of another shape, an
  answer to another request. Nothing of it is ever an allow.
- A question carries a request id of its own, kept over retries, so a lost answer is asked for again and is the same
  one (S1.4). What cannot be repeated is not: redeeming is tried again only where nothing had been sent.
- Errors are raised only for what the program did: `IntakeError` for a malformed request, `AccessError` for a credential
  that does not serve, `ConfigurationError` for how it was opened or called.

Clauses: S1.4, S5.2, S6, S7.3.
"""

from __future__ import annotations

from demur.client.asynchronous import AsyncClient
from demur.client.blocking import Client

__all__ = ["AsyncClient", "Client"]
