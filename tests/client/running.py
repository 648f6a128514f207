"""A real service on the loopback, for clients: its own policies, its own home, HTTP over a socket."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from demur.server.app import build
from tests.api.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.serving import Serving

POLICY = """
demur: 1
namespace: shop
facts:
  context.day: {type: string, optional: true}
actions:
  refund:
    arguments:
      amount: {type: int, change: true}
      note: {type: string, optional: true}
  export: {arguments: {rows: int}}
rules:
  - id: small-refund
    effect: permit
    actions: [refund]
    when:
      - {name: small, expr: action.amount <= 50000, explain: the amount is at most 500 EUR}
  - id: large-refund
    effect: review
    actions: [refund]
    when:
      - {name: large, expr: action.amount > 50000, explain: the amount is above 500 EUR}
      - {name: possible, expr: action.amount <= 90000, explain: the amount is at most 900 EUR}
    review: {role: supervisor, quorum: 1, within: 1h, risk: high}
  - id: few-rows
    effect: permit
    actions: [export]
    narrow: {rows: {at_most: 10}}
"""
START_SECONDS = 20


@contextmanager
def running(folder: Path) -> Iterator[tuple[Serving, str]]:
    """The service and its URL."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "shop.yaml").write_text(POLICY)
    with serving(folder, policies) as served:
        config = uvicorn.Config(
            build(served.service), host="127.0.0.1", port=0, lifespan="off", log_config=None, ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        end = time.monotonic() + START_SECONDS
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield served, f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def token(headers: dict[str, str]) -> str:
    """The credential in these headers."""
    return headers["Authorization"].removeprefix("Bearer ")
